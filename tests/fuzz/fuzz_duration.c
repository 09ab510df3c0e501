/* links: config
 *
 * Numbers as people write them: what is read is in range, and what is shown of it reads back. */
#include <assert.h>

#include "config/config.h"
#include "config/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_duration(struct text t, struct buf *b)
{
    int64_t us, back;
    if (config_read_duration(t, &us)) {
        assert(us >= 0);
        buf_clear(b);
        show_duration(b, us);
        assert(config_read_duration(buf_text(b), &back) && back == us);
    }
}

static void check_amount(struct text t, struct buf *b)
{
    int64_t n, back;
    if (config_read_amount(t, AMOUNT_MAX, &n)) {
        assert(n >= 0 && n <= AMOUNT_MAX);
        buf_clear(b);
        show_amount(b, UNIT_TOKENS, n);
        assert(config_read_amount(buf_text(b), AMOUNT_MAX, &back) && back == n);
    }
    if (config_read_picousd(t, &n)) {
        assert(n >= 0 && n <= USD_AMOUNT_MAX);
        buf_clear(b);
        show_amount(b, UNIT_USD, n);
        assert(config_read_picousd(buf_text(b), &back) && back == n);
    }
}

static void check_share(struct text t, struct buf *b)
{
    int32_t ppm, back;
    if (config_read_share(t, &ppm)) {
        assert(ppm >= 0 && ppm <= 1000000);
        buf_clear(b);
        show_share(b, ppm);
        assert(config_read_share(buf_text(b), &back) && back == ppm);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text t = {(const char *)data, size};
    struct buf b;
    buf_init(&b, 1000);
    check_duration(t, &b);
    check_amount(t, &b);
    check_share(t, &b);
    buf_release(&b);
    return 0;
}
