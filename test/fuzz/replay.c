/*
 * replay.c - runs a target over the files of the directories named, without libFuzzer and so with any compiler.
 *
 *	 fuzz_core-replay DIRECTORY-OR-FILE...
 *
 * Says which input it runs before a target stops the process, and at the end how many there were.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

/* An input that takes longer has hung. */
#define SECONDS_MAX 20

static unsigned n_inputs;

static void replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;
	size_t size;
	struct stat about;

	if (file == NULL || fstat(fileno(file), &about) != 0)
	{
		perror(path);
		exit(2);
	}
	bytes = malloc((size_t) about.st_size + 1);
	MUST(bytes != NULL);
	size = fread(bytes, 1, (size_t) about.st_size, file);
	fclose(file);
	printf("%s\n", path);
	fflush(stdout);
	alarm(SECONDS_MAX);
	LLVMFuzzerTestOneInput(bytes, size);
	alarm(0);
	free(bytes);
	n_inputs++;
}

static void replay_directory(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);

	for (int i = 0; i < n; i++)
	{
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			replay_file(name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		struct stat about;

		if (stat(argv[i], &about) != 0)
			continue;
		if (S_ISDIR(about.st_mode))
			replay_directory(argv[i]);
		else
			replay_file(argv[i]);
	}
	printf("%u inputs\n", n_inputs);
	return n_inputs == 0;
}
