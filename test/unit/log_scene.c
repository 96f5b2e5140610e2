/*
 * log_scene.c - see log_scene.h.
 */
#include "log_scene.h"

#include <stdlib.h>

struct scene open_scene(uint64_t seed, uint64_t segment_bytes, uint64_t cache_bytes)
{
	struct scene scene = {fake_disk_new(seed), model_new(seed, segment_bytes, cache_bytes)};

	if (model_open(scene.model, fake_disk_ops(scene.disk)) != PLOG_OK ||
		!model_check_recovered(scene.model, false))
		abort();
	return scene;
}

void close_scene(struct scene *scene)
{
	model_free(scene->model);
	fake_disk_free(scene->disk);
}

enum plog_code reopen_killed(struct scene *scene)
{
	model_close(scene->model);
	fake_disk_kill(scene->disk);
	return model_open(scene->model, fake_disk_ops(scene->disk));
}

enum plog_code reopen_crashed(struct scene *scene)
{
	model_close(scene->model);
	fake_disk_crash(scene->disk);
	return model_open(scene->model, fake_disk_ops(scene->disk));
}
