/*
 * free_port.h - for tests over loopback sockets.
 */
#ifndef FREE_PORT_H
#define FREE_PORT_H

#include <stdint.h>

/* A port that no one uses now. */
uint16_t free_port(void);

#endif /* FREE_PORT_H */
