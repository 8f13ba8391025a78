/*
 * The command line of an example program whose options are numbers, all of
 * them: one table is its usage, its defaults and what was said.
 *
 * SPDX-License-Identifier: MIT
 *
 * Include it once a program, after program.h.
 */

#include <getopt.h>

#define MOST_NUMBER_OPTIONS	8

struct number_option {
	const char	*name;
	const char	*help;
	long		min, max;
	long		value;		/* the default, until another is said */
};

static void
usage(FILE *to, const char *about, const struct number_option *o, int count)
{
	int n;

	fprintf(to, "usage: " PROGRAM " [option]...\n\n%s\n\n", about);
	for (n = 0; n < count; n++)
		fprintf(to, "  --%s N%*s%s (default %ld)\n", o[n].name,
			14 - (int)strlen(o[n].name), "", o[n].help, o[n].value);
	fprintf(to, "  --help            print this and exit\n");
}

/* -1: go on; otherwise the exit code */
static int
parse_number_options(int argc, char **argv, const char *about,
		     struct number_option *o, int count)
{
	struct option options[MOST_NUMBER_OPTIONS + 2] = { { NULL, 0, NULL, 0 } };
	int n;

	for (n = 0; n < count; n++) {
		options[n].name = o[n].name;
		options[n].has_arg = required_argument;
		options[n].val = n;
	}
	options[count].name = "help";
	options[count].val = 'h';

	while ((n = getopt_long(argc, argv, "h", options, NULL)) >= 0)
		if (n == 'h') {
			usage(stdout, about, o, count);
			return EXIT_OK;
		} else if (n >= count ||
			   parse_number(o[n].name, optarg, o[n].min, o[n].max,
					&o[n].value))
			/* it has been said what is wrong */
			return EXIT_USAGE;

	if (optind != argc) {
		fprintf(stderr, PROGRAM ": unexpected argument '%s'\n",
			argv[optind]);
		return EXIT_USAGE;
	}

	return -1;
}
