/*
 * Who may ask an example program: its own pages, and those that --origin names, by
 * the names of this machine, and those that --host names (lws_proton_guard.h).
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after program.h.
 */

#if !defined(GUARD_OPTIONS_H)
#define GUARD_OPTIONS_H

#include <lws_proton_guard.h>

#include <string.h>

#define MOST_NAMES	16

static const char *guard_origins[MOST_NAMES + 1], *guard_hosts[MOST_NAMES + 1];

static const lws_proton_guard_t guard = {
	.origins	= guard_origins,
	.hosts		= guard_hosts,
};

#define GUARD_USAGE \
	"  --origin ORIGIN   pages of this origin may open WebSockets, too, such as\n" \
	"                    https://example.org; * allows all\n" \
	"  --host NAME       answer to this name, too, and not only to localhost;\n" \
	"                    on whatever port\n"

/* 0, or -1 and a line on stderr */
static inline int
add_name(const char *option, const char **list, const char *name)
{
	int n = 0;

	if (list == guard_origins && !lws_proton_is_origin(name)) {
		fprintf(stderr, PROGRAM ": --%s wants an origin such as "
				"https://example.org, not '%s'\n", option, name);
		return -1;
	}

	/* Host is compared without its port: such a name would fit none */
	if (list == guard_hosts && (!*name || strpbrk(name, "/@ ") ||
				    (*name != '[' && strchr(name, ':')))) {
		fprintf(stderr, PROGRAM ": --%s wants a name such as example.org, "
				"without a port, not '%s'\n", option, name);
		return -1;
	}

	while (list[n])
		n++;
	if (n == MOST_NAMES) {
		fprintf(stderr, PROGRAM ": --%s is for %d names at most\n",
			option, MOST_NAMES);
		return -1;
	}
	list[n] = name;

	return 0;
}

#endif
