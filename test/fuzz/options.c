/*
 * options.c - how the address sanitizer is set for every target.
 */
const char *__asan_default_options(void);

/* What is freed stays poisoned for a while; with much of it the caches run cold. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=8:malloc_context_size=8";
}
