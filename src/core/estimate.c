#include "core/view.h"

const int32_t estimate_error_percent[ESTIMATE_ERRORS - 1] = {-50, -25, -10, -5, 0,
                                                             5,   10,  25,  50, 100};
