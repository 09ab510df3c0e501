/* links: config
 *
 * Any bytes as a configuration: taken or refused with a reason, and never both. */
#include <assert.h>

#include "base/error.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL;
    struct buf why;
    buf_init(&why, 1u << 20);
    int error = config_parse((struct text){(const char *)data, size}, "f", &config, &why);
    if (error == 0) {
        struct policy_error problem;
        assert(config && why.len == 0);
        assert(config->listens_n > 0 && config->store);
        assert(policy_check(&config->policy, &problem) == 0);
        config_find_key(config, (struct text){(const char *)data, size});
    } else {
        assert(error == ERR_INVALID_REQUEST && !config && why.len > 0);
    }
    config_free(config);
    buf_release(&why);
    return 0;
}
