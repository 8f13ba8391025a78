/*
 * lws-proton-poll-loop: lws in a loop that is the program's own, here poll()
 *
 * SPDX-License-Identifier: MIT
 *
 * The sockets are the program's: it listens, accepts, receives and sends.  lws
 * gets its bytes, and gives its own, through one driver a connection
 * (lws_proton.h).  Served are a page and, to it, a WebSocket echo.
 *
 *   lws-proton-poll-loop [--port N]	on 127.0.0.1; 0 picks a free one
 *
 *   stdout  exactly one line, "ready: http://localhost:PORT/", once it serves
 *   stderr  logs
 *   exit    0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 on bad usage
 */

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE		/* ppoll(), accept4() */
#endif

#include <libwebsockets.h>
#include <lws_proton.h>
#include <lws_proton_guard.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "echo_protocol.h"

#define PROGRAM			"lws-proton-poll-loop"
#include "program.h"

#define DEFAULT_PORT		7683
#define MOST_CONNECTIONS	1000
/* how long peers have to end what is under way when the program stops (ms) */
#define STOP_MS			5000

struct connection {
	lws_proton_driver_t	*driver;	/* NULL: free */
	int			fd;
	int			woken;		/* the driver wants service */
	int			ended;		/* we have ended our stream */
};

static struct connection connections[MOST_CONNECTIONS];
/* the listener's, then each connection's; poll() skips those below 0 */
static struct pollfd fds[1 + MOST_CONNECTIONS];
static volatile sig_atomic_t signals;	/* that came */

static void
stop(int sig)
{
	(void)sig;
	signals++;
}

/* with locks held, and inside of lws: only noted here */
static void
wake(void *p)
{
	((struct connection *)p)->woken = 1;
}

static struct connection *
free_connection(void)
{
	for (int n = 0; n < MOST_CONNECTIONS; n++)
		if (!connections[n].driver)
			return &connections[n];
	return NULL;
}

static void
accept_one(int listener, struct connection *c, lws_proton_loop_t *loop,
	   struct lws_vhost *vhost)
{
	c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (c->fd < 0)
		return;

	c->ended = 0;
	c->driver = lws_proton_driver_new(loop, -1, wake, c);
	if (!c->driver) {
		close(c->fd);
		return;
	}

	/* from here on it is lws's; if it does not want it, it has closed it */
	lws_adopt_socket_vhost(vhost, lws_proton_driver_conn(c->driver));
	c->woken = 1;
}

/* from the socket to lws, as much as it has room for */
static void
receive(struct connection *c)
{
	pn_rwbytes_t in = lws_proton_driver_read_buffer(c->driver);
	ssize_t n;

	if (!in.size)
		return;

	n = recv(c->fd, in.start, in.size, 0);
	if (n > 0)
		lws_proton_driver_read_done(c->driver, (size_t)n);
	else if (!n)
		lws_proton_driver_read_close(c->driver);
	else if (errno != EAGAIN)
		lws_proton_driver_write_close(c->driver);
}

/* from lws to the socket, as much as that takes */
static void
transmit(struct connection *c)
{
	pn_bytes_t out = lws_proton_driver_write_buffer(c->driver);
	ssize_t n = out.size ?
		    send(c->fd, out.start, out.size, MSG_NOSIGNAL) : 0;

	if (n > 0) {
		lws_proton_driver_write_done(c->driver, (size_t)n);
		/* there is room again: lws may have waited for it */
		c->woken = 1;
	} else if (n < 0 && errno != EAGAIN)
		lws_proton_driver_write_close(c->driver);

	if (!c->ended && lws_proton_driver_write_closed(c->driver)) {
		c->ended = 1;
		shutdown(c->fd, SHUT_WR);
	}
}

/* if lws still has it, it hears that it is lost */
static void
drop(struct connection *c)
{
	lws_proton_driver_free(c->driver);
	c->driver = NULL;
	close(c->fd);
}

static void
serve(struct connection *c, struct pollfd *fd)
{
	if (fd->revents & ~POLLOUT)
		receive(c);

	/* it may be woken while it is served; and may want to be again */
	c->woken = 0;
	if (lws_proton_driver_service(c->driver))
		c->woken = 1;

	transmit(c);

	/* a full window is not read into: the peer's own sending stops then */
	fd->events = 0;
	if (lws_proton_driver_read_buffer(c->driver).size)
		fd->events |= POLLIN;
	if (lws_proton_driver_write_buffer(c->driver).size)
		fd->events |= POLLOUT;
	/* poll() would tell of a reset that nobody asks for, again and again */
	fd->fd = fd->events ? c->fd : -1;

	if (lws_proton_driver_finished(c->driver)) {
		drop(c);
		fd->fd = -1;
	}
}

/* until it is signalled, and all has ended; closes the listener */
static void
run(int listener, struct lws_context *context, struct lws_vhost *vhost,
    const sigset_t *unblocked)
{
	lws_proton_loop_t *loop = lws_proton_loop_of(context);
	struct connection *room;
	int n, ms, heeded = 0;
	struct timespec ts;

	fds[0].events = POLLIN;
	while (!heeded || !lws_proton_loop_drained(loop)) {
		/* the first has connections end, the next has them cut */
		if (signals != heeded) {
			if (!heeded)
				close(listener);
			lws_proton_loop_drain(loop, heeded ? 0 : STOP_MS);
			heeded = signals;
		}

		/* last of all before waiting: what is due, and when the next is */
		ms = lws_proton_loop_tick(loop);
		for (n = 0; n < MOST_CONNECTIONS; n++)
			if (connections[n].driver && connections[n].woken)
				ms = 0;

		/* without room they wait in the kernel's queue */
		room = heeded ? NULL : free_connection();
		fds[0].fd = room ? listener : -1;

		ts.tv_sec = ms / 1000;
		ts.tv_nsec = ms % 1000 * 1000000L;
		if (ppoll(fds, LWS_ARRAY_SIZE(fds), ms < 0 ? NULL : &ts,
			  unblocked) < 0)
			continue;	/* a signal: nothing in fds is true */

		for (n = 0; n < MOST_CONNECTIONS; n++)
			if (connections[n].driver && (connections[n].woken ||
			    (fds[1 + n].fd >= 0 && fds[1 + n].revents)))
				serve(&connections[n], &fds[1 + n]);

		if (room && fds[0].revents)
			accept_one(listener, room, loop, vhost);
	}

	for (n = 0; n < MOST_CONNECTIONS; n++)
		if (connections[n].driver)
			drop(&connections[n]);
}

/* the descriptor; -1 and a line if there is none.  The port is written back. */
static int
listen_on(long *port)
{
	struct sockaddr_in sa = {
		.sin_family	= AF_INET,
		.sin_port	= htons((uint16_t)*port),
		.sin_addr	= { htonl(INADDR_LOOPBACK) },
	};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&sa, len) || listen(fd, SOMAXCONN) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len)) {
		fprintf(stderr, PROGRAM ": cannot listen on port %ld: %s\n",
			*port, strerror(errno));
		return -1;
	}
	*port = ntohs(sa.sin_port);
	return fd;
}

int
main(int argc, char **argv)
{
	static const struct lws_http_mount page = {
		.mountpoint		= "/",
		.mountpoint_len		= 1,
		.origin			= PAGE_DIR, /* the build says */
		.def			= "index.html",
		.origin_protocol	= LWSMPRO_FILE,
	};
	/* its own page, from this machine */
	static const lws_proton_guard_t guard;
	struct lws_context_creation_info info = {
		/* lws does not listen: connections are brought to it */
		.port			= CONTEXT_PORT_NO_LISTEN_SERVER,
		.options		= LWS_SERVER_OPTION_PROTON |
					  LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
					  LWS_SERVER_OPTION_VALIDATE_UTF8,
		.pt_serv_buf_size	= ECHO_PIECE,
		.protocols		= echo_protocols,
		.extensions		= echo_extensions,
		.mounts			= &page,
	};
	struct lws_context *context;
	struct lws_vhost *vhost;
	long port = DEFAULT_PORT;
	sigset_t mask, unblocked;
	int listener;

	if (argc != 1 && (argc != 3 || strcmp(argv[1], "--port"))) {
		fprintf(stderr, "usage: " PROGRAM " [--port N]\n");
		return EXIT_USAGE;
	}
	if (argc == 3 && parse_number("port", argv[2], 0, MAX_PORT, &port))
		return EXIT_USAGE;

	/* SIGINT and SIGTERM come inside ppoll() and nowhere else */
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, &unblocked);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);

	prepare_to_start();
	context = lws_create_context(&info);
	vhost = context ? lws_create_vhost(context, &info) : NULL;
	if (!vhost)
		fprintf(stderr, PROGRAM ": %s\n", why);
	listener = vhost ? listen_on(&port) : -1;
	if (listener < 0) {
		lws_context_destroy(context);
		return EXIT_FAILED;
	}
	log_from_now_on();
	lws_proton_vhost_guard(vhost, &guard);

	printf("ready: http://localhost:%ld/\n", port);
	fflush(stdout);
	run(listener, context, vhost, &unblocked);

	lws_context_destroy(context);
	return EXIT_OK;
}
