SELECT number, position FROM {schema}.folded;
