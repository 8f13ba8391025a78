/*
 * libwebsockets - small server side websockets and web server implementation
 *
 * SPDX-License-Identifier: MIT
 *
 * LWS_PROTON platform: OpenSSL over a struct lws_proton_conn.
 *
 * What BIO_s_socket() is for a descriptor: bytes go from the connection's
 * windows to OpenSSL and back, and nothing is held in between.
 */

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "private-lib-core.h"

#include <openssl/bio.h>
#include <openssl/err.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;

static int
proton_bio_retries(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static int
proton_bio_read(BIO *bio, char *buf, int len)
{
	struct lws_proton_conn *c = (struct lws_proton_conn *)BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);

	n = recv(c, buf, (size_t)len, 0);
	if (n < 0 && proton_bio_retries())
		BIO_set_retry_read(bio);

	/* this is how OpenSSL 3 tells end of stream from an error */

	if (!n)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);

	return (int)n;
}

static int
proton_bio_write(BIO *bio, const char *buf, int len)
{
	struct lws_proton_conn *c = (struct lws_proton_conn *)BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);

	n = send(c, buf, (size_t)len, 0);
	if (n < 0 && proton_bio_retries())
		BIO_set_retry_write(bio);

	return (int)n;
}

static int
proton_bio_puts(BIO *bio, const char *s)
{
	return proton_bio_write(bio, s, (int)strlen(s));
}

static long
proton_bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	struct lws_proton_conn *c = (struct lws_proton_conn *)BIO_get_data(bio);

	switch (cmd) {
	case BIO_CTRL_PENDING:
		return (long)c->ops->rx_used(c);
	case BIO_CTRL_EOF:
		return !!BIO_test_flags(bio, BIO_FLAGS_IN_EOF);
	case BIO_CTRL_GET_CLOSE:
		return BIO_get_shutdown(bio);
	case BIO_CTRL_SET_CLOSE:
		BIO_set_shutdown(bio, (int)num);
		return 1;
	/* written is sent: there is nothing to flush, dup or set nonblocking */
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_DUP:
	case BIO_C_SET_NBIO:
		return 1;
	default:
		return 0;
	}
}

static int
proton_bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);

	return 1;
}

static int
proton_bio_destroy(BIO *bio)
{
	/* lws closes the connection */

	return !!bio;
}

static void
proton_bio_free_method(void)
{
	BIO_meth_free(method);
	method = NULL;
}

static void
proton_bio_init_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
			      "lws_proton_conn");
	if (!method)
		return;

	if (!BIO_meth_set_read(method, proton_bio_read) ||
	    !BIO_meth_set_write(method, proton_bio_write) ||
	    !BIO_meth_set_puts(method, proton_bio_puts) ||
	    !BIO_meth_set_ctrl(method, proton_bio_ctrl) ||
	    !BIO_meth_set_create(method, proton_bio_create) ||
	    !BIO_meth_set_destroy(method, proton_bio_destroy)) {
		proton_bio_free_method();
		return;
	}

	OPENSSL_atexit(proton_bio_free_method);
}

int
lws_plat_proton_ssl_set_conn(SSL *ssl, struct lws_proton_conn *c)
{
	BIO *bio;

	pthread_once(&once, proton_bio_init_method);

	bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return 1;

	BIO_set_data(bio, c);
	SSL_set_bio(ssl, bio, bio);

	return 0;
}

LWS_VISIBLE size_t
lws_plat_proton_ssl_pending(const SSL *ssl)
{
	int n = SSL_pending(ssl);

	return n > 0 ? (size_t)n : 0;
}

struct lws_proton_conn *
lws_plat_proton_ssl_conn(const SSL *ssl)
{
	return (struct lws_proton_conn *)BIO_get_data(SSL_get_rbio(ssl));
}
