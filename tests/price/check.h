/*
 * What every test of src/price includes: cmocka and the headers it needs before itself.
 */
#ifndef SLUICE_TESTS_PRICE_CHECK_H
#define SLUICE_TESTS_PRICE_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
