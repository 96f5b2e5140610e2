/*
 * key_value.h - the composite type paxoskv.key_value, which reads give.
 */
#ifndef PAXOSKV_SQL_KEY_VALUE_H
#define PAXOSKV_SQL_KEY_VALUE_H

#include "postgres.h"

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"

#define KEY_VALUE_COLUMNS 6

/* What column of paxoskv.kv each column shows, and its type. */
extern const AttrNumber key_value_columns[KEY_VALUE_COLUMNS];
extern const Oid key_value_types[KEY_VALUE_COLUMNS];

/*
 * Somebody may have altered the type: columns of his own behind ours are harmless, and null.  Ours must not be
 * misread: is_key_value is false then, check_key_value raises 42804.
 */
extern bool is_key_value(TupleDesc descriptor);
extern void check_key_value(TupleDesc descriptor);

#endif /* PAXOSKV_SQL_KEY_VALUE_H */
