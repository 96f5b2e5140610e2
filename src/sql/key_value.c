/*
 * key_value.c - the composite type paxoskv.key_value, which reads give.
 */
#include "postgres.h"

#include "sql/key_value.h"
#include "worker/store_tables.h"

const AttrNumber key_value_columns[KEY_VALUE_COLUMNS] = {
	KV_PARTITION, KV_KEY, KV_VALUE, KV_REVISION, KV_CREATE_REVISION, KV_WRITTEN_AT};

const Oid key_value_types[KEY_VALUE_COLUMNS] = {TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID};

bool is_key_value(TupleDesc descriptor)
{
	if (descriptor->natts < KEY_VALUE_COLUMNS)
		return false;
	for (int i = 0; i < KEY_VALUE_COLUMNS; i++)
		if (TupleDescAttr(descriptor, i)->atttypid != key_value_types[i])
			return false;
	return true;
}

void check_key_value(TupleDesc descriptor)
{
	if (!is_key_value(descriptor))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("type \"%s.key_value\" is not as the extension made it", PAXOSKV_SCHEMA),
						errhint("Undo what ALTER TYPE has changed.")));
}
