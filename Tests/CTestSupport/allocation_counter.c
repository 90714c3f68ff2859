// The executable's own malloc and friends, which glibc's dynamic linking prefers to the library's: they count, by thread,
// and go on to the functions that glibc exports for the purpose.

#define _GNU_SOURCE
#include "CTestSupport.h"

#include <errno.h>
#include <execinfo.h>
#include <stddef.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || defined(__SANITIZE_ADDRESS__) \
    || defined(__SANITIZE_THREAD__)

bool allocation_counter_works(void) { return false; }
uint64_t allocation_count(void) { return 0; }
void allocation_trace(bool on) { (void)on; }

#else

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static __thread uint64_t count;
static __thread bool tracing;

bool allocation_counter_works(void) { return true; }
uint64_t allocation_count(void) { return count; }
void allocation_trace(bool on) { tracing = on; }

static void note(void) {
    count += 1;
    if (!tracing) return;
    tracing = false;
    void *stack[24];
    backtrace_symbols_fd(stack, backtrace(stack, 24), 2);
    tracing = true;
}

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    note();
    return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
    note();
    return __libc_realloc(memory, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    note();
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL) return ENOMEM;
    *result = memory;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

void free(void *memory) { __libc_free(memory); }

#endif
