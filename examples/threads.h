/*
 * The threads of an example program that serve its lws context: each in
 * lws_service_tsi() or, on a proactor of the program's own, in that.  What
 * there is on it besides lws is the program's: serving.own_event.
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
	int			threads;	/* 0: as many as lws has pts */
#if defined(LWS_PROTON)
	pn_proactor_t		*proactor;	/* NULL: lws's own */
	/* gets what is not lws's, in any of the threads; NULL: nothing is */
	void			(*own_event)(pn_event_t *event);
	/*
	 * Has the program's own connections and listeners end, at once, while
	 * the threads go on: lws's have begun to.  NULL: there are none.
	 */
	void			(*stop_own)(void);
	/* how many of them there are: the program counts */
	atomic_int		own;
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
/* how long peers have to end what is under way when the program stops (ms) */
#define STOP_MS 5000
/* how often it is looked whether they have (ms) */
#define STOP_LOOK_MS 20
/* that a thread serves at most before it goes: peers may not let it end */
#define LAST_BATCHES 64

/* for info.foreign_loops */
static void **
own_proactor(void)
{
	static void *loops[1];

	serving.proactor = loops[0] = pn_proactor();

	return loops;
}

static void
serve_batch(pn_event_batch_t *batch)
{
	pn_event_t *event;

	while ((event = pn_event_batch_next(batch)))
		if (!lws_proton_handle(batch, event) && serving.own_event)
			serving.own_event(event);

	pn_proactor_done(serving.proactor, batch);
}

static void *
serve_proactor(void *unused)
{
	pn_event_batch_t *batch;
	int last = 0;

	(void)unused;
	while (!serving.stopping)
		serve_batch(pn_proactor_wait(serving.proactor));

	/* another thread polls, then */
	while (++last <= LAST_BATCHES &&
	       (batch = pn_proactor_get(serving.proactor)))
		serve_batch(batch);

	/* one interrupt reaches one thread: the next is for the next */
	pn_proactor_interrupt(serving.proactor);

	return NULL;
}

/* after drain(), so what is left is of peers that do not read */
static void
free_proactor(void)
{
	int64_t now, end = pn_proactor_now_64() + LWS_PROTON_DRAIN_CUT_MS;
	pn_event_batch_t *batch;

	while (lws_proton_held(serving.proactor) &&
	       (now = pn_proactor_now_64()) < end) {
		lws_proton_set_timeout(serving.proactor, (pn_millis_t)(end - now));
		serve_batch(pn_proactor_wait(serving.proactor));
	}

	/* Proton would leak them */
	if (serving.own || lws_proton_held(serving.proactor))
		return;

	/* nor has it freed those that were woken as they ended, until now */
	while ((batch = pn_proactor_get(serving.proactor)))
		serve_batch(batch);
	pn_proactor_free(serving.proactor);
}

/* the threads still serve; a second signal ends it at once */
static void
drain(const sigset_t *signals)
{
	const struct timespec moment = { 0, STOP_LOOK_MS * 1000 * 1000 };
	lws_proton_loop_t *loop = lws_proton_loop_of(serving.context);
	int64_t end = pn_proactor_now_64() + STOP_MS;

	lws_proton_loop_drain(loop, STOP_MS);
	if (serving.stop_own)
		serving.stop_own();

	while (!lws_proton_loop_drained(loop) ||
	       (serving.own && pn_proactor_now_64() < end))
		if (sigtimedwait(signals, NULL, &moment) > 0) {
			end = 0;
			lws_proton_loop_drain(loop, 0);
		}
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

static void
finish(void)
{
	serving.stopping = 1;
	lws_context_destroy(serving.context);
#if defined(LWS_PROTON)
	if (serving.proactor)
		free_proactor();
#endif
}

/*
 * SIGINT and SIGTERM are blocked in every thread and waited for here, so that
 * stopping is ordinary code: connections end, and the context is destroyed.
 */
static int
serve_until_signalled(const sigset_t *signals, const char *ready)
{
	int count = serving.threads ? serving.threads :
				      lws_get_count_threads(serving.context);
	pthread_t threads[LWS_MAX_SMP];
	int started, sig;

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
#if defined(LWS_PROTON)
		if (!serving.failed)
			drain(signals);
#endif
	}

	serving.stopping = 1;
	wake_threads();
	while (started--)
		pthread_join(threads[started], NULL);

	finish();

	return serving.failed ? EXIT_FAILED : EXIT_OK;
}
