/*
 * The threads of an example program that serve its lws context: each in
 * lws_service_tsi() or, on a proactor of the program's own, in that.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after program.h.
 */

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#if defined(LWS_PROTON)
#include <lws_proton.h>
#include <proton/event.h>
#include <proton/proactor.h>
#endif

static struct serving {
	struct lws_context	*context;
#if defined(LWS_PROTON)
	pn_proactor_t		*proactor;	/* NULL: lws's own */
	void			(*own)(pn_event_t *event); /* if not lws's */
#endif
	atomic_int		stopping;
	atomic_int		failed;
} serving;

static void *
serve_tsi(void *tsi)
{
	while (!serving.stopping)
		if (lws_service_tsi(serving.context, 0, (int)(intptr_t)tsi) < 0) {
			if (!serving.stopping) {
				serving.failed = 1;
				/* sigwait() in serve_until_signalled() gets it */
				kill(getpid(), SIGTERM);
			}
			break;
		}

	return NULL;
}

#if defined(LWS_PROTON)
/* for info.foreign_loops */
static void **
own_proactor(void)
{
	static void *loops[1];

	serving.proactor = loops[0] = pn_proactor();

	return loops;
}

static void
one_batch(void)
{
	pn_event_batch_t *batch = pn_proactor_wait(serving.proactor);
	pn_event_t *event;

	while ((event = pn_event_batch_next(batch)))
		if (!lws_proton_handle(batch, event) && serving.own)
			serving.own(event);

	pn_proactor_done(serving.proactor, batch);
}

static void *
serve_proactor(void *unused)
{
	(void)unused;
	while (!serving.stopping)
		one_batch();

	/* one interrupt reaches one thread: the next is for the next */
	pn_proactor_interrupt(serving.proactor);

	return NULL;
}

/* what closed connections have not sent yet goes out, but not for ever */
static void
free_proactor(void)
{
	lws_proton_set_timeout(serving.proactor, LWS_PROTON_DRAIN_MS);
	for (;;) {
		pn_event_batch_t *batch;
		pn_event_t *event;
		int timeout = 0;

		if (!lws_proton_held(serving.proactor))
			break;
		batch = pn_proactor_wait(serving.proactor);
		while ((event = pn_event_batch_next(batch)))
			if (!lws_proton_handle(batch, event) &&
			    pn_event_type(event) == PN_PROACTOR_TIMEOUT)
				timeout = 1;
		pn_proactor_done(serving.proactor, batch);
		if (timeout)
			return;
	}
	pn_proactor_free(serving.proactor);
}
#endif

static int
start_thread(pthread_t *thread, int tsi)
{
#if defined(LWS_PROTON)
	if (serving.proactor)
		return pthread_create(thread, NULL, serve_proactor, NULL);
#endif
	return pthread_create(thread, NULL, serve_tsi, (void *)(intptr_t)tsi);
}

static void
wake_threads(void)
{
#if defined(LWS_PROTON)
	if (serving.proactor) {
		pn_proactor_interrupt(serving.proactor);
		return;
	}
#endif
	lws_cancel_service(serving.context);
}

/*
 * SIGINT and SIGTERM are blocked in every thread and waited for here, so that
 * stopping is ordinary code.  Then destroys the context.
 */
static int
serve_until_signalled(const sigset_t *signals, const char *ready)
{
	int count = lws_get_count_threads(serving.context), started, sig;
	pthread_t threads[LWS_MAX_SMP];

	for (started = 0; started < count; started++)
		if (start_thread(&threads[started], started)) {
			fprintf(stderr, PROGRAM ": cannot start service "
					"thread %d\n", started);
			serving.failed = 1;
			break;
		}

	if (!serving.failed) {
		printf("ready: %s\n", ready);
		fflush(stdout);
		sigwait(signals, &sig);
	}

	serving.stopping = 1;
	wake_threads();
	while (started--)
		pthread_join(threads[started], NULL);

	lws_context_destroy(serving.context);
#if defined(LWS_PROTON)
	if (serving.proactor)
		free_proactor();
#endif

	return serving.failed ? EXIT_FAILED : EXIT_OK;
}
