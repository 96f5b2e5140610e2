/*
 * log_scene.h - a log on a fake disk with its model beside it, open: what the log's tests begin with.
 */
#ifndef LOG_SCENE_H
#define LOG_SCENE_H

#include "fake_disk.h"
#include "log_model.h"

struct scene
{
	struct fake_disk *disk;
	struct model *model;
};

/* A new log; seed: of the disk and of the model. */
struct scene open_scene(uint64_t seed, uint64_t segment_bytes, uint64_t cache_bytes);
void close_scene(struct scene *scene);

/* Closed, and opened again after fake_disk_kill(), or fake_disk_crash(). */
enum plog_code reopen_killed(struct scene *scene);
enum plog_code reopen_crashed(struct scene *scene);

#endif /* LOG_SCENE_H */
