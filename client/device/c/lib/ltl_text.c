/* Forms of texts, for ASCII whatever the locale. */
#include <string.h>

#include "ltl_internal.h"

int ltlTextIsName(const char *text, size_t len, size_t max, const char *also)
{
    size_t i;
    if (text == NULL || len == 0 || len > max)
        return 0;
    for (i = 0; i < len; i++) {
        char c = text[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            continue;
        if (c == '\0' || strchr(also, c) == NULL)
            return 0;
    }
    return 1;
}

int ltlTextIsTimestamp(const char *text, size_t len)
{
    size_t i;
    if (text == NULL || len != 13 || text[0] == '0')
        return 0;
    for (i = 0; i < len; i++)
        if (text[i] < '0' || text[i] > '9')
            return 0;
    return 1;
}

void ltlTextHex(const unsigned char *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t i;
    for (i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
}

size_t ltlTextBase64(const unsigned char *bytes, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *start = out;
    size_t i;
    for (i = 0; i < len; i += 3) {
        unsigned long three = (unsigned long)bytes[i] << 16;
        if (i + 1 < len)
            three |= (unsigned long)bytes[i + 1] << 8;
        if (i + 2 < len)
            three |= bytes[i + 2];
        *out++ = digits[three >> 18 & 63];
        *out++ = digits[three >> 12 & 63];
        *out++ = i + 1 < len ? digits[three >> 6 & 63] : '=';
        *out++ = i + 2 < len ? digits[three & 63] : '=';
    }
    return (size_t)(out - start);
}

int ltlTextHexDigit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}
