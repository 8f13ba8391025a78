# SPDX-License-Identifier: MIT
#
# What LWS_PROTON=ON means for lws's other options.  Included by lws's own
# CMakeLists.txt before it declares them, so that these become their defaults.
#
# A feature that needs a file descriptor of its own cannot work where a "socket"
# is a connection: it is off, and asking for both is an error.

set(LWS_PROTON_GLUE_INCLUDE_DIR "" CACHE PATH "Where lws_proton_conn.h and lws_proton_host.h are")
set(LWS_PROTON_GLUE_LIBRARY "" CACHE FILEPATH "liblws_proton")

if (NOT UNIX)
	message(FATAL_ERROR "LWS_PROTON needs a unix platform: Proton's raw connections exist for its epoll proactor only")
endif()

set(LWS_PROTON_INCOMPATIBLE
	LWS_WITH_UDP
	LWS_WITH_SYS_ASYNC_DNS
	LWS_WITH_SYS_DHCP_CLIENT
	LWS_WITH_SYS_NTPCLIENT
	LWS_WITH_NETLINK
	LWS_WITH_CGI
	LWS_WITH_SPAWN
	LWS_UNIX_SOCK
	LWS_ROLE_RAW_FILE
	LWS_ROLE_DBUS
	LWS_WITH_EXTERNAL_POLL
	LWS_WITH_SECURE_STREAMS_PROXY_API
	LWS_WITH_LIBEV
	LWS_WITH_LIBEVENT
	LWS_WITH_GLIB
	LWS_WITH_LIBUV
	LWS_WITH_SDEVENT
	LWS_WITH_ULOOP
	LWS_WITH_STATIC)

foreach(opt ${LWS_PROTON_INCOMPATIBLE})
	if (${opt})
		message(FATAL_ERROR "${opt} cannot be used with LWS_PROTON: it needs file descriptors of its own, or a static library, which LWS_PROTON has not. Set one of the two to OFF")
	endif()
	set(${opt} OFF CACHE BOOL "not with LWS_PROTON")
endforeach()

# TLS is a BIO of OpenSSL's: other libraries want a descriptor.
foreach(opt LWS_WITH_MBEDTLS LWS_WITH_WOLFSSL LWS_WITH_CYASSL LWS_WITH_BORINGSSL LWS_WITH_SCHANNEL)
	if (${opt})
		message(FATAL_ERROR "${opt} cannot be used with LWS_PROTON: TLS needs OpenSSL there. Set one of the two to OFF")
	endif()
endforeach()

if (DEFINED LWS_WITH_EVLIB_PLUGINS AND NOT LWS_WITH_EVLIB_PLUGINS)
	message(FATAL_ERROR "LWS_PROTON is an event library plugin: LWS_WITH_EVLIB_PLUGINS has to be ON")
endif()
if (LWS_WITHOUT_CLIENT)
	message(FATAL_ERROR "LWS_WITHOUT_CLIENT cannot be used with LWS_PROTON: its event library has the clients in it. Set one of the two to OFF")
endif()
set(LWS_WITH_EVLIB_PLUGINS ON CACHE BOOL "needed by LWS_PROTON")
set(LWS_WITH_SHARED ON CACHE BOOL "needed by LWS_PROTON")

# The wake is not a descriptor, the wait is not poll().
set(LWS_WITHOUT_EVENTFD ON CACHE BOOL "not with LWS_PROTON")
set(LWS_WITH_POLL 0)
set(LWS_LINK_TESTAPPS_DYNAMIC ON CACHE BOOL "there is no static library with LWS_PROTON")
# what lws's examples look at before they link the target of this name
set(websockets_shared 1)
