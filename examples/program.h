/*
 * What the example programs say and how they end: numbers in arguments, and the
 * one line that tells why lws did not start.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after defining PROGRAM as the program's name.
 */

#include <libwebsockets.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(LWS_PROTON)
#include <lws_proton.h>
#include <lws_proton_log.h>
#endif

#define MAX_PORT		65535

enum exit_code {
	EXIT_OK		= 0,
	EXIT_FAILED	= 1,
	EXIT_USAGE	= 2,
};

/* 0 and *result on success, -1 if text is not a number in min..max */
static inline int
parse_number(const char *name, const char *text, long min, long max,
	     long *result)
{
	char *end;

	errno = 0;
	*result = strtol(text, &end, 10);
	if (!errno && end != text && !*end && *result >= min && *result <= max)
		return 0;

	fprintf(stderr, PROGRAM ": --%s wants a number from %ld to %ld, "
			"not '%s'\n", name, min, max, text);

	return -1;
}

/*
 * 0 if the file of an option can be read, -1 and a line if not: what lws says
 * is OpenSSL's number for it.
 */
static inline int
check_readable(const char *name, const char *file)
{
	FILE *f = fopen(file, "r");

	/* a directory can be opened, but not read */
	if (f && (fgetc(f) != EOF || !ferror(f))) {
		fclose(f);
		return 0;
	}

	fprintf(stderr, PROGRAM ": --%s: cannot read '%s': %s\n", name, file,
		strerror(errno));
	if (f)
		fclose(f);

	return -1;
}

/* What kept lws from starting is said in one line, and by us. */
static char why[256] = "lws did not say why";

static void
keep_first_error(int level, const char *line)
{
	static int kept;
	const char *reason = strstr(line, "cannot "), *stamp = strstr(line, "] E: ");

	if (kept || level != LLL_ERR)
		return;

	if (!reason)
		reason = stamp ? stamp + strlen("] E: ") : line;
	kept = 1;
	snprintf(why, sizeof(why), "%.*s", (int)strcspn(reason, "\n"), reason);
}

/* Call it before lws's context is made. */
static inline void
prepare_to_start(void)
{
	lws_set_log_level(LLL_ERR, keep_first_error);
#if defined(LWS_PROTON)
	lws_proton_raise_descriptor_limit(LWS_PROTON_DESCRIPTORS);
#endif
}

/*
 * It has started: from now on the log is for whoever runs the program, and much of
 * it peers' text.
 */
static inline void
log_from_now_on(void)
{
#if defined(LWS_PROTON)
	fprintf(stderr, PROGRAM ": room for %zu connections\n",
		lws_proton_free_descriptors());
	lws_set_log_level(LLL_ERR | LLL_WARN | LLL_USER, lws_proton_log);
#else
	lws_set_log_level(LLL_ERR | LLL_WARN | LLL_USER, lwsl_emit_stderr);
#endif
}
