/*
 * Makes allocations fail: a library to preload, which a test controls while the
 * program runs.
 *
 * SPDX-License-Identifier: MIT
 *
 *   LWS_PROTON_FAILMALLOC          a file of sizeof(struct control) bytes, which the
 *                                  test maps too
 *   LWS_PROTON_FAILMALLOC_SPARED   spared.txt, which says what never fails, and why
 *
 * C++'s operator new, OpenSSL, Proton and libc allocate by malloc() and its family,
 * so this sees all of them.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAMES		40
/* of these some are failmalloc's own, or a sanitizer's within them */
#define FIRST_FRAMES	4
/* how many callers a function of the list may be away */
#define NEAR		4
#define LISTED_MOST	32
#define NAME		64

struct control {
	/* of the test: allocations first to first + most - 1 fail; 0: none */
	volatile uint64_t	first, most;
	/* of this: since the test has set it to 0 */
	volatile uint64_t	seen, failed, spared;
	/* how many are not freed, of those since the program has begun */
	volatile int64_t	live;
	/* where the last that failed was asked for, innermost first */
	char			stack[4096];
};

static struct control *control;
static char listed[LISTED_MOST][NAME];
static int listed_count;
static const void *own_base;
static __thread int inside;

/*
 * The real ones.  dlsym() may allocate before they are known: that comes from here,
 * and stays.
 */

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);

static _Alignas(16) char early[64 * 1024];
static size_t early_used;

static void *
early_alloc(size_t size)
{
	void *p = early + early_used;

	early_used += (size + 15) & ~(size_t)15;
	if (early_used > sizeof(early))
		abort();

	return p;
}

static int
is_early(const void *p)
{
	return (const char *)p >= early &&
	       (const char *)p < early + sizeof(early);
}

static void
find_real(void)
{
	static int finding;

	if (finding)
		return;
	finding = 1;
	real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	real_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	real_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	real_posix_memalign = (int (*)(void **, size_t, size_t))
					dlsym(RTLD_NEXT, "posix_memalign");
	real_aligned_alloc = (void *(*)(size_t, size_t))
					dlsym(RTLD_NEXT, "aligned_alloc");
	real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
}

static const char *
file_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : "?";
}

/* the list has this function, with this sign before it */
static int
has_function(char sign, const Dl_info *info)
{
	int n;

	for (n = 0; n < listed_count; n++)
		if (listed[n][0] == sign && info->dli_sname &&
		    !strcmp(info->dli_sname, listed[n] + 1))
			return 1;

	return 0;
}

static int
has_library(const Dl_info *info)
{
	int n;

	for (n = 0; n < listed_count; n++)
		if (!strncmp(file_name(info->dli_fname), listed[n],
			     strlen(listed[n])))
			return 1;

	return 0;
}

/* by who has asked for it, and for whom */
static int
is_spared(void *const *frames, int count)
{
	Dl_info info;
	int n;

	for (n = 0; n < count && n < NEAR; n++) {
		if (!dladdr((char *)frames[n] - 1, &info))
			return 0;
		if (has_function('+', &info) ||
		    (!n && has_library(&info) && !has_function('-', &info)))
			return 1;
	}

	return 0;
}

/* how many frames are not of who has asked */
static int
own_frames(void *const *frames, int count)
{
	int n, own = 0;
	Dl_info info;

	for (n = 0; n < count && n < FIRST_FRAMES; n++)
		if (dladdr(frames[n], &info) && info.dli_fbase == own_base)
			own = n + 1;

	return own;
}

/* innermost first: the function, if it has a name, and where that is in its file */
static void
tell_stack(void *const *frames, int count)
{
	size_t used = 0, most = sizeof(control->stack);
	Dl_info info;
	int n;

	control->stack[0] = '\0';
	for (n = 0; n < count && used < most; n++) {
		memset(&info, 0, sizeof(info));
		dladdr((char *)frames[n] - 1, &info);
		used += (size_t)snprintf(control->stack + used, most - used,
				"%s %s+%#tx\n",
				info.dli_sname ? info.dli_sname : "?",
				file_name(info.dli_fname), (char *)frames[n] -
				(char *)info.dli_fbase);
	}
}

static int
fails(void)
{
	void *frames[FRAMES];
	uint64_t number;
	int frame_count, own;

	if (!control || inside || !control->first)
		return 0;

	number = __atomic_add_fetch(&control->seen, 1, __ATOMIC_RELAXED);
	if (number < control->first || number - control->first >= control->most)
		return 0;

	inside = 1;
	frame_count = backtrace(frames, FRAMES);
	own = own_frames(frames, frame_count);
	if (is_spared(frames + own, frame_count - own)) {
		__atomic_add_fetch(&control->spared, 1, __ATOMIC_RELAXED);
		inside = 0;
		return 0;
	}
	tell_stack(frames + own, frame_count - own);
	__atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
	inside = 0;
	errno = ENOMEM;

	return 1;
}

static void *
count(void *p, int change)
{
	if (p && control)
		__atomic_add_fetch(&control->live, change, __ATOMIC_RELAXED);

	return p;
}

void *
malloc(size_t size)
{
	if (!real_malloc) {
		find_real();
		if (!real_malloc)
			return early_alloc(size);
	}

	return fails() ? NULL : count(real_malloc(size), 1);
}

void *
calloc(size_t n, size_t size)
{
	if (!real_calloc) {
		find_real();
		if (!real_calloc)
			return early_alloc(n * size);
	}

	return fails() ? NULL : count(real_calloc(n, size), 1);
}

void *
realloc(void *p, size_t size)
{
	if (is_early(p)) {
		void *grown = malloc(size);

		if (grown)
			memcpy(grown, p, size < (size_t)(early + sizeof(early) - (char *)p) ?
			       size : (size_t)(early + sizeof(early) - (char *)p));

		return grown;
	}
	if (!real_realloc)
		find_real();

	if (!p)
		return malloc(size);
	if (!size) {
		free(p);
		return NULL;
	}

	return fails() ? NULL : real_realloc(p, size);
}

void *
reallocarray(void *p, size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}

	return realloc(p, all);
}

int
posix_memalign(void **p, size_t alignment, size_t size)
{
	if (!real_posix_memalign)
		find_real();

	if (fails() || real_posix_memalign(p, alignment, size))
		return ENOMEM;
	count(*p, 1);

	return 0;
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	if (!real_aligned_alloc)
		find_real();

	return fails() ? NULL : count(real_aligned_alloc(alignment, size), 1);
}

void
free(void *p)
{
	if (!p || is_early(p))
		return;
	if (!real_free)
		find_real();
	real_free(count(p, -1));
}

static void
read_list(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[1024];

	if (!f)
		abort();
	while (listed_count < LISTED_MOST && fgets(line, sizeof(line), f))
		if (line[0] != '#' && sscanf(line, "%63s", listed[listed_count]) == 1)
			listed_count++;
	fclose(f);
}

static void __attribute__((constructor))
begin(void)
{
	const char *path = getenv("LWS_PROTON_FAILMALLOC"),
		   *list = getenv("LWS_PROTON_FAILMALLOC_SPARED");
	void *frames[FIRST_FRAMES], *mapped;
	Dl_info info;
	int fd;

	find_real();
	if (dladdr((void *)begin, &info))
		own_base = info.dli_fbase;
	if (!path)
		return;
	if (list)
		read_list(list);
	/* loads what it needs */
	backtrace(frames, FIRST_FRAMES);
	fd = open(path, O_RDWR | O_CLOEXEC);
	mapped = fd < 0 ? MAP_FAILED :
		 mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, 0);
	if (mapped == MAP_FAILED)
		abort();
	close(fd);
	control = (struct control *)mapped;
}
