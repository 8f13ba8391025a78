/*
 * lws-proton-pair: a WebSocket conversation inside one process, with no socket
 *
 * SPDX-License-Identifier: MIT
 *
 * There are two lws contexts, a server's and a client's.  Each has a driver for
 * its end of the connection (lws_proton.h), and the program copies the bytes
 * from one to the other.  To lws it is a connection like any: there is an HTTP
 * upgrade, TLS if it is given a certificate, time-outs, flow control.
 *
 *   lws-proton-pair [CERTIFICATE KEY]	PEM files, of a server called localhost
 *
 *   stdout  what happens
 *   exit    0 if each message came back as it was sent, 1 if not, 2 on bad usage
 */

#include <libwebsockets.h>
#include <lws_proton.h>
#include <lws_proton_log.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "echo_protocol.h"

struct end {
	lws_proton_driver_t	*driver;
	int			woken;	/* the driver wants service */
	int			ended;	/* the other end knows that it ended */
};

static struct end client, server;
static lws_proton_loop_t *client_loop, *server_loop;
static size_t carried;		/* bytes, both ways */

static const char * const messages[] = {
	"hello", "is anybody there?", "then goodbye",
};
static size_t sent, returned;	/* of them */

static int
client_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
		void *in, size_t len)
{
	uint8_t buffer[LWS_PRE + 64];
	const char *message;

	(void)user;

	switch (reason) {
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		printf("client: connected\n");
		lws_callback_on_writable(wsi);
		break;

	case LWS_CALLBACK_CLIENT_WRITEABLE:
		/* lws may call without being asked */
		if (sent != returned || sent == LWS_ARRAY_SIZE(messages))
			break;
		message = messages[sent++];
		printf("client: sends \"%s\"\n", message);
		len = strlen(message);
		memcpy(buffer + LWS_PRE, message, len);
		if (lws_write(wsi, buffer + LWS_PRE, len, LWS_WRITE_TEXT) < 0)
			return -1;
		break;

	case LWS_CALLBACK_CLIENT_RECEIVE:
		printf("client: receives \"%.*s\"\n", (int)len, (char *)in);
		message = messages[returned];
		/* one so short comes in one piece */
		if (len != strlen(message) || memcmp(in, message, len))
			return -1;
		if (++returned < LWS_ARRAY_SIZE(messages)) {
			lws_callback_on_writable(wsi);
			break;
		}
		lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
		return -1;	/* closes, which begins with telling the peer */

	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		printf("client: %s\n", in ? (char *)in : "no connection");
		break;

	case LWS_CALLBACK_CLIENT_CLOSED:
		printf("client: closed\n");
		break;

	default:
		break;
	}

	return 0;
}

static const struct lws_protocols client_protocols[] = {
	{ "client", client_callback, 0, 0, 0, NULL, 0 },
	LWS_PROTOCOL_LIST_TERM
};

/* with locks held, and inside of lws: only noted here */
static void
wake(void *p)
{
	((struct end *)p)->woken = 1;
}

/*
 * lws wants a client connected.  The address is only shown: no name is looked
 * up, what it means is ours to say, and it means the server's vhost.
 */
static int
dial(void *vhost, lws_proton_driver_t *d, const char *address, uint16_t port)
{
	printf("client: wants %s, port %d\n", address, port);

	server.driver = lws_proton_driver_new(server_loop, -1, wake, &server);
	if (!server.driver)
		return ENOMEM;	/* the client is told so */

	/* it is the server's as if it had been accepted from a socket */
	lws_adopt_socket_vhost(vhost, lws_proton_driver_conn(server.driver));
	server.woken = 1;

	client.driver = d;
	lws_proton_driver_set_wake(d, wake, &client);
	/* connected: a driver on top of a network would say so later */
	lws_proton_driver_connected(d, 0);

	return 0;
}

/* serves an end, carries what it sends to the other; 1: something moved */
static int
carry(struct end *from, struct end *to)
{
	int moved = from->woken;
	pn_rwbytes_t in;
	pn_bytes_t out;
	size_t n;

	/* it may be woken while it is served, and may want to be again */
	from->woken = 0;
	if (moved && lws_proton_driver_service(from->driver))
		from->woken = 1;

	/* if the reader has no room the writer keeps it: that is flow control */
	out = lws_proton_driver_write_buffer(from->driver);
	in = lws_proton_driver_read_buffer(to->driver);
	n = out.size < in.size ? out.size : in.size;
	if (n) {
		memcpy(in.start, out.start, n);
		lws_proton_driver_read_done(to->driver, n);
		lws_proton_driver_write_done(from->driver, n);
		carried += n;
		from->woken = to->woken = moved = 1;
	}

	/* nobody is left to read it: as a socket is reset then */
	if (out.size && lws_proton_driver_finished(to->driver))
		lws_proton_driver_write_close(from->driver);

	if (!from->ended && lws_proton_driver_write_closed(from->driver)) {
		lws_proton_driver_read_close(to->driver);
		from->ended = to->woken = moved = 1;
	}

	return moved;
}

static int
finished(void)
{
	return lws_proton_driver_finished(client.driver) &&
	       lws_proton_driver_finished(server.driver);
}

static void
converse(void)
{
	while (!finished()) {
		int ms_client, ms_server;

		if (carry(&client, &server) | carry(&server, &client))
			continue;

		/* nothing moves: only a timer of lws's can change that */
		ms_client = lws_proton_loop_tick(client_loop);
		ms_server = lws_proton_loop_tick(server_loop);
		if (!client.woken && !server.woken)
			poll(NULL, 0, ms_client < 0 || (ms_server >= 0 &&
						ms_server < ms_client) ?
						ms_server : ms_client);
	}
}

int
main(int argc, char **argv)
{
	struct lws_context_creation_info info = {
		.port		= CONTEXT_PORT_NO_LISTEN_SERVER,
		.options	= LWS_SERVER_OPTION_PROTON |
				  LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
				  LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.protocols	= echo_protocols,
		.pt_serv_buf_size = ECHO_PIECE,
	};
	struct lws_client_connect_info connect = {
		.address	= "somewhere",
		.port		= 9000,
		.host		= "localhost",
		.origin		= "localhost",
		.path		= "/",
		.protocol	= "echo",
		.local_protocol_name = client_protocols[0].name,
	};
	struct lws_context *server_context, *client_context = NULL;
	struct lws_vhost *server_vhost = NULL;
	int done;

	if (argc != 1 && argc != 3) {
		fprintf(stderr, "usage: lws-proton-pair [CERTIFICATE KEY]\n");
		return 2;
	}

	/* lws would send the client to the proxy instead */
	unsetenv("http_proxy");
	lws_set_log_level(LLL_ERR | LLL_WARN, lws_proton_log);

	if (argc == 3) {
		info.ssl_cert_filepath		= argv[1];
		info.ssl_private_key_filepath	= argv[2];
	}
	server_context = lws_create_context(&info);
	if (server_context)
		server_vhost = lws_create_vhost(server_context, &info);

	info.port		= CONTEXT_PORT_NO_LISTEN;
	info.protocols		= client_protocols;
	if (argc == 3) {
		/* it trusts this certificate, and checks whose it is */
		info.ssl_cert_filepath		= NULL;
		info.ssl_private_key_filepath	= NULL;
		info.client_ssl_ca_filepath	= argv[1];
		connect.ssl_connection		= LCCSCF_USE_SSL;
	}
	if (server_vhost)
		client_context = lws_create_context(&info);
	connect.context = client_context;
	connect.vhost = client_context ?
			lws_create_vhost(client_context, &info) : NULL;

	if (connect.vhost) {
		server_loop = lws_proton_loop_of(server_context);
		client_loop = lws_proton_loop_of(client_context);
		lws_proton_loop_set_dialer(client_loop, dial, server_vhost);

		/* dials before it returns */
		if (lws_client_connect_via_info(&connect) && client.driver)
			converse();
	}

	/* drivers go before the contexts that their connections are of */
	lws_proton_driver_free(client.driver);
	lws_proton_driver_free(server.driver);
	lws_context_destroy(client_context);
	lws_context_destroy(server_context);

	done = returned == LWS_ARRAY_SIZE(messages);
	printf("%zu of %zu messages came back, in %zu bytes%s\n", returned,
	       LWS_ARRAY_SIZE(messages), carried, argc == 3 ? " of TLS" : "");

	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
