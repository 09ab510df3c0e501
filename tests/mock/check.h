/*
 * What every test of src/mock includes: cmocka and the headers it needs before itself.
 */
#ifndef SLUICE_TESTS_MOCK_CHECK_H
#define SLUICE_TESTS_MOCK_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
