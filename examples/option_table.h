/*
 * The command line of an example program whose options are numbers, files and names: one
 * table is its usage, its defaults and what was said.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after program.h.  Each of these programs has WebSockets
 * and a guard for them: --origin and --host.
 */

#include <assert.h>
#include <getopt.h>

#include "guard_options.h"

#define MOST_OPTIONS	16

struct option_row {
	const char	*name;
	const char	*help;
	long		min, max;
	long		value;		/* the default, until another is said */
	const char	**file;		/* it is no number, but this: NULL without it */
};

/* beyond those of the table, which begin with 0 */
enum { OPTION_ORIGIN = MOST_OPTIONS, OPTION_HOST };

static void
usage(FILE *to, const char *about, const struct option_row *o, int count)
{
	int n;

	fprintf(to, "usage: " PROGRAM " [option]...\n\n%s\n\n", about);
	for (n = 0; n < count; n++)
		if (o[n].file)
			fprintf(to, "  --%s FILE%*s%s\n", o[n].name,
				11 - (int)strlen(o[n].name), "", o[n].help);
		else
			fprintf(to, "  --%s N%*s%s (default %ld)\n", o[n].name,
				14 - (int)strlen(o[n].name), "", o[n].help,
				o[n].value);
	fprintf(to, GUARD_USAGE "  --help            print this and exit\n");
}

/* whether it can be; if not, it has been said */
static int
take_option(struct option_row *o, const char *said)
{
	if (!o->file)
		return !parse_number(o->name, said, o->min, o->max, &o->value);
	*o->file = said;

	return !check_readable(o->name, said);
}

/* -1: go on; otherwise the exit code */
static int
parse_option_table(int argc, char **argv, const char *about,
		     struct option_row *o, int count)
{
	struct option options[MOST_OPTIONS + 4] = { { NULL, 0, NULL, 0 } };
	int n;

	assert(count <= MOST_OPTIONS);
	for (n = 0; n < count; n++) {
		options[n].name = o[n].name;
		options[n].has_arg = required_argument;
		options[n].val = n;
	}
	options[count] = (struct option){ "help", no_argument, NULL, 'h' };
	options[count + 1] = (struct option){ "origin", required_argument, NULL,
					      OPTION_ORIGIN };
	options[count + 2] = (struct option){ "host", required_argument, NULL,
					      OPTION_HOST };

	while ((n = getopt_long(argc, argv, "h", options, NULL)) >= 0)
		if (n == 'h') {
			usage(stdout, about, o, count);
			return EXIT_OK;
		} else if (n == OPTION_ORIGIN || n == OPTION_HOST) {
			if (add_name(n == OPTION_HOST ? "host" : "origin",
				     n == OPTION_HOST ? guard_hosts :
							guard_origins, optarg))
				return EXIT_USAGE;
		} else if (n >= count || !take_option(&o[n], optarg))
			/* it has been said what is wrong */
			return EXIT_USAGE;

	if (optind != argc) {
		fprintf(stderr, PROGRAM ": unexpected argument '%s'\n",
			argv[optind]);
		return EXIT_USAGE;
	}

	return -1;
}
