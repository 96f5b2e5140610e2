/*
 * overlay.h - file calls that read the disk and write to memory.
 *
 * So that a start of the log can be tried on a directory without changing a byte of it: what would be written,
 * renamed or removed is, in the overlay only.
 */
#ifndef OVERLAY_H
#define OVERLAY_H

#include "log/file_ops.h"

struct overlay;

/* NULL: out of memory.  Freed by overlay_free(), after the last call through its table. */
struct overlay *overlay_make(void);
void overlay_free(struct overlay *overlay);

/* The table; it belongs to the overlay. */
const struct file_ops *overlay_ops(const struct overlay *overlay);

#endif /* OVERLAY_H */
