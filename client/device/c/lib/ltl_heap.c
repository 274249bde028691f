/*
 * A heap of fixed size. mbedTLS allocates the numbers it computes with; the build gives it these two functions in place of the C
 * library's, so that a signature needs no memory that might not be there. First fit with merging is enough: some
 * thirty blocks are alive at a time, and what a signature took it has given back at its end.
 */
#include <string.h>

#include "ltl_internal.h"

/* A signature of mbedTLS 2.28 needs 3.4 KiB (make sizes); another version may need more. */
#ifndef LTL_HEAP_SIZE
#define LTL_HEAP_SIZE 16384
#endif

/* The strictest alignment of what is stored in a block. */
typedef union Align {
    long long i;
    double d;
    void *p;
    void (*f)(void);
} Align;

/* A block's header; the block follows it. Sizes are in units of Align, with the header. */
typedef union Header {
    struct {
        size_t units;
        int used;
    } b;
    Align align;
} Header;

#define UNIT sizeof(Header)
#define UNITS (LTL_HEAP_SIZE / UNIT)

static Header heap[UNITS];
static size_t inUse;
static size_t peak;
static int refusals;

void ltlHeapReset(void)
{
    ltlWipe(heap, sizeof heap);
    inUse = 0;
    peak = 0;
    refusals = 0;
}

/* Merges the free blocks behind the block at i with it, and returns its size. */
static size_t merge(size_t i)
{
    size_t end = i + heap[i].b.units;
    while (end < UNITS && !heap[end].b.used)
        end += heap[end].b.units;
    heap[i].b.units = end - i;
    return end - i;
}

void *ltlHeapCalloc(size_t count, size_t size)
{
    size_t want, have, i;
    if (heap[0].b.units == 0)
        heap[0].b.units = UNITS; /* never used: one free block */
    if (size != 0 && count > LTL_HEAP_SIZE / size) {
        refusals++;
        return NULL;
    }
    want = (count * size + UNIT - 1) / UNIT + 1;
    for (i = 0; i < UNITS; i += heap[i].b.units) {
        if (heap[i].b.used)
            continue;
        have = merge(i);
        if (have < want)
            continue;
        if (have > want) {
            heap[i + want].b.units = have - want;
            heap[i + want].b.used = 0;
            heap[i].b.units = want;
        }
        heap[i].b.used = 1;
        inUse += want * UNIT;
        if (inUse > peak)
            peak = inUse;
        memset(&heap[i + 1], 0, (want - 1) * UNIT);
        return &heap[i + 1];
    }
    refusals++;
    return NULL;
}

void ltlHeapFree(void *p)
{
    Header *h;
    if (p == NULL)
        return;
    h = (Header *)p - 1;
    h->b.used = 0;
    inUse -= h->b.units * UNIT;
    ltlWipe(p, (h->b.units - 1) * UNIT);
}

size_t ltlHeapInUse(void) { return inUse; }
size_t ltlHeapPeak(void) { return peak; }
int ltlHeapRefusals(void) { return refusals; }
