/*
 * Text: growth, JSON, numbers that read back bit for bit, nearest words, numbers for people.
 */
#include "kdsweep/text.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kds_test.h"
#include "kdsweep/rng.h"

static void wraps_at_column_80(void **state)
{
    (void)state;
    kds_text text = {0};
    kds_text_add_wrapped(&text, "", 4, 4);
    assert_string_equal(kds_text_string(&text), "\n");
    kds_text_clear(&text);
    char words[512] = "";
    for (int i = 0; i < 50; i++) {
        strcat(words, i == 20 ? "1234567 " : "123456 ");
    }
    kds_text_add_wrapped(&text, words, 4, 10); /* ten words of seven characters fill the first line: 10 + 70 - 1 */
    size_t n_words = 0;
    for (const char *line = kds_text_string(&text); *line; line += strcspn(line, "\n") + 1) {
        const size_t n = strcspn(line, "\n");
        if (line == kds_text_string(&text)) {
            assert_int_equal(n, 69);
        } else {
            assert_true(n <= 80 && line[n - 1] != ' ');
            assert_int_equal(strspn(line, " "), 4);
        }
        for (size_t i = 0; i < n; i++) {
            n_words += line[i] == '1';
        }
    }
    assert_int_equal(n_words, 50);
    kds_text_clear(&text);
}

static void grows(void **state)
{
    (void)state;
    kds_text text = {0};
    assert_string_equal(kds_text_string(&text), "");
    kds_text_add_bytes(&text, NULL, 0);
    assert_string_equal(kds_text_string(&text), "");
    for (int i = 0; i < 1000; i++) {
        kds_text_addf(&text, "%03d,", i);
    }
    assert_false(text.failed);
    assert_int_equal(text.size, 4000);
    assert_int_equal(strlen(text.bytes), 4000);
    assert_memory_equal(text.bytes + 4 * 512, "512,", 4);
    assert_true(text.capacity > text.size);
    kds_text_add_bytes(&text, "a\0b", 3);
    assert_int_equal(text.size, 4003);
    assert_memory_equal(text.bytes + 4000, "a\0b", 4);
    kds_text_clear(&text);
    assert_null(text.bytes);
    assert_int_equal(text.size, 0);
    kds_text_clear(&text);
    kds_text_clear(NULL);
}

static void failure_is_remembered(void **state)
{
    (void)state;
    kds_text text = {0};
    kds_text_add(&text, "before");
    kds_text_add_bytes(&text, "x", SIZE_MAX / 2);
    assert_true(text.failed);
    kds_text_add(&text, "after");
    kds_text_addf(&text, "%d", 1);
    assert_string_equal(kds_text_string(&text), "before");
    kds_text_clear(&text);
    assert_false(text.failed);
}

static void json_is_escaped(void **state)
{
    (void)state;
    kds_text text = {0};
    kds_text_add_json(&text, "a\"b\\c\nd\te\rf\001g\x7f\xc3\xa4/");
    assert_string_equal(text.bytes, "\"a\\\"b\\\\c\\nd\\te\\rf\\u0001g\\u007f\xc3\xa4/\"");
    kds_text_clear(&text);
    kds_text_add_json(&text, "");
    kds_text_add(&text, ",");
    kds_text_add_number(&text, 0.1);
    assert_string_equal(text.bytes, "\"\",0.1");
    kds_text_clear(&text);
}

static void numbers_look_right(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } known[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {1.0, "1"},
        {-1.0, "-1"},
        {0.1, "0.1"},
        {100.0, "100"},
        {1e-4, "0.0001"},
        {1e-5, "1e-5"},
        {1.5e-7, "1.5e-7"},
        {123456.789, "123456.789"},
        {1e15, "1000000000000000"},
        {1234567890123456.0, "1234567890123456"},
        {1e16, "1e16"},
        {1e22, "1e22"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {-2.2250738585072014e-308, "-2.2250738585072014e-308"},
        {4.9406564584124654e-324, "5e-324"},
        {0.30000000000000004, "0.30000000000000004"},
        {-0.00012345678901234567, "-0.00012345678901234567"},
        {9007199254740993.0, "9007199254740992"},
        {HUGE_VAL, "inf"},
        {-HUGE_VAL, "-inf"},
        {5e-5, "5e-5"},
        {2.5, "2.5"},
        {10.25, "10.25"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char buffer[KDS_NUMBER_CHARS];
        assert_string_equal(kds_number_to_text(known[i].value, buffer), known[i].text);
    }
    char buffer[KDS_NUMBER_CHARS];
    assert_string_equal(kds_number_to_text((double)NAN, buffer), "nan");
}

static void reads_back(double value)
{
    char buffer[KDS_NUMBER_CHARS];
    memset(buffer, 'x', sizeof buffer);
    errno = 7777;
    kds_number_to_text(value, buffer);
    assert_int_equal(errno, 7777);
    assert_non_null(memchr(buffer, '\0', sizeof buffer));
    char *end;
    const double again = strtod(buffer, &end);
    assert_true(*end == '\0');
    if (memcmp(&again, &value, sizeof value) != 0) {
        fail_msg("%a became \"%s\" = %a", value, buffer, again);
    }
    /* As short as the best that printf can do. */
    size_t n_digits = 0;
    const char *p = buffer;
    while (*p == '-' || *p == '0' || *p == '.') {
        p++;
    }
    size_t n_zeros = 0;
    for (; *p != '\0' && *p != 'e'; p++) {
        if (*p != '.') {
            n_digits++;
            n_zeros = *p == '0' ? n_zeros + 1 : 0;
        }
    }
    n_digits -= n_zeros;
    if (n_digits > 1) {
        char shorter[64];
        snprintf(shorter, sizeof shorter, "%.*e", (int)n_digits - 2, value);
        assert_true(strtod(shorter, NULL) != value);
    }
}

static void numbers_read_back(void **state)
{
    (void)state;
    const double special[] = {
        DBL_MIN,  DBL_MAX, DBL_EPSILON,         DBL_TRUE_MIN, DBL_TRUE_MIN * 3, DBL_MIN - DBL_TRUE_MIN,
        1.0 / 3., 2. / 3., 0x1.fffffffffffffp0, 1e23,         9.5e-5,           0x1p-1074};
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        reads_back(special[i]);
        reads_back(-special[i]);
    }
    kds_rng rng = kds_rng_make(21, KDS_RNG_GENERATE, 0);
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = kds_rng_next_u64(&rng); /* all exponents */
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) {
            reads_back(value);
        }
        const uint64_t denormal = bits & 0x800FFFFFFFFFFFFFu;
        memcpy(&value, &denormal, sizeof value);
        reads_back(value);
        reads_back(kds_rng_normal(&rng));
        reads_back((double)(bits >> 40) / 1000.0);
    }
}

static void nearest_word(void **state)
{
    (void)state;
    static const char *const words[] = {"temperature", "objective", "model", "lr", "epochs", "weight_decay", NULL};
    assert_string_equal(kds_nearest_word("temprature", words), "temperature");
    assert_string_equal(kds_nearest_word("objetcive", words), "objective");
    assert_string_equal(kds_nearest_word("Model", words), "model");
    assert_string_equal(kds_nearest_word("modle", words), "model");
    assert_string_equal(kds_nearest_word("epoch", words), "epochs");
    assert_string_equal(kds_nearest_word("weight-decay", words), "weight_decay");
    assert_string_equal(kds_nearest_word("weightdecay", words), "weight_decay");
    assert_string_equal(kds_nearest_word("lr", words), "lr");
    assert_string_equal(kds_nearest_word("rl", words), "lr");
    assert_null(kds_nearest_word("banana", words));
    assert_null(kds_nearest_word("", words));
    assert_null(kds_nearest_word("x", words));
    assert_null(kds_nearest_word("xy", words));
    char endless[1000];
    memset(endless, 'm', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    assert_null(kds_nearest_word(endless, words));
    const char *const one[] = {endless, "mm", NULL};
    assert_string_equal(kds_nearest_word("mm", one), "mm");
    const char *const none[] = {NULL};
    assert_null(kds_nearest_word("model", none));
}

static void for_people(void **state)
{
    (void)state;
    char b[KDS_NUMBER_CHARS];
    assert_string_equal(kds_bytes_to_text(0.0, b), "0 B");
    assert_string_equal(kds_bytes_to_text(1023.0, b), "1023 B");
    assert_string_equal(kds_bytes_to_text(1024.0, b), "1.0 KiB");
    assert_string_equal(kds_bytes_to_text(1.5 * 1024 * 1024 * 1024, b), "1.5 GiB");
    assert_string_equal(kds_bytes_to_text(1024.0 * 1024.0 - 1.0, b), "1.0 MiB");
    assert_string_equal(kds_bytes_to_text(1e300, b), "8.67362e+281 B");
    assert_string_equal(kds_seconds_to_text(0.0, b), "0 s");
    assert_string_equal(kds_seconds_to_text(8.8e-5, b), "0.088 ms");
    assert_string_equal(kds_seconds_to_text(8.01e-4, b), "0.80 ms");
    assert_string_equal(kds_seconds_to_text(-0.0042, b), "-4.2 ms");
    assert_string_equal(kds_seconds_to_text(0.012, b), "0.012 s");
    assert_string_equal(kds_seconds_to_text(0.25, b), "0.25 s");
    assert_string_equal(kds_seconds_to_text(1.26, b), "1.3 s");
    assert_string_equal(kds_seconds_to_text(9.96, b), "10 s");
    assert_string_equal(kds_seconds_to_text(59.6, b), "1 min 0 s");
    assert_string_equal(kds_seconds_to_text(200.0, b), "3 min 20 s");
    assert_string_equal(kds_seconds_to_text(12000.0, b), "3 h 20 min");
    assert_string_equal(kds_seconds_to_text(200.0 * 3600.0, b), "8 d 8 h");
    assert_string_equal(kds_seconds_to_text(-200.0, b), "-3 min 20 s");
    assert_string_equal(kds_seconds_to_text((double)INFINITY, b), "inf s");
    assert_string_equal(kds_count_to_text(0, b), "0");
    assert_string_equal(kds_count_to_text(999, b), "999");
    assert_string_equal(kds_count_to_text(1000, b), "1,000");
    assert_string_equal(kds_count_to_text(1234567, b), "1,234,567");
    assert_string_equal(kds_count_to_text(-1234567, b), "-1,234,567");
    assert_string_equal(kds_count_to_text(LLONG_MIN, b), "-9,223,372,036,854,775,808");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows),
        cmocka_unit_test(wraps_at_column_80),
        cmocka_unit_test(failure_is_remembered),
        cmocka_unit_test(json_is_escaped),
        cmocka_unit_test(for_people),
        cmocka_unit_test(numbers_look_right),
        cmocka_unit_test(numbers_read_back),
        cmocka_unit_test(nearest_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
