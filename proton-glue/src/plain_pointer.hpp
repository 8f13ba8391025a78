// SPDX-License-Identifier: MIT
#pragma once

#include <proton/object.h>

#include <cstddef>
#include <cstdint>

// Since Proton 0.38. The library that a program finds may be another than it was built with.
extern "C" __attribute__((weak, visibility("default"))) pn_class_t *
pn_class_create(const char *name, void (*initialize)(void *), void (*finalize)(void *),
                void (*incref)(void *), void (*decref)(void *), int (*refcount)(void *));

namespace lws_proton {

// What a pn_class_t is up to Proton 0.37; later ones do not show it. This is one of pointers that
// are neither counted nor freed.
struct PlainPointerClass {
    static constexpr const char *kName = "lws_proton_plain_pointer";
    static void leave(void *) noexcept {}
    static int uncounted(void *) noexcept { return -1; }
    static const pn_class_t *self(void *) noexcept { return get(); }

    static const pn_class_t *get() noexcept {
        static const PlainPointerClass plain;
        return reinterpret_cast<const pn_class_t *>(&plain);
    }

    const char *name = kName;
    int cid = 0;
    void *(*newinst)(const pn_class_t *, size_t) = nullptr;
    void (*initialize)(void *) = nullptr;
    void (*incref)(void *) = leave;
    void (*decref)(void *) = leave;
    int (*refcount)(void *) = uncounted;
    void (*finalize)(void *) = nullptr;
    void (*free)(void *) = nullptr;
    const pn_class_t *(*reify)(void *) = self;
    uintptr_t (*hashcode)(void *) = nullptr;
    intptr_t (*compare)(void *, void *) = nullptr;
    int (*inspect)(void *, void *) = nullptr;
};

// The class for pn_record_def() of a value that Proton does not own. Its own is PN_VOID, which a
// library that runs on several versions cannot use: under one soname it is an array up to 0.37, and
// a pointer since.
inline const pn_class_t *plain_pointer() noexcept {
    using Plain = PlainPointerClass;
    static const pn_class_t *const plain =
        pn_class_create ? pn_class_create(Plain::kName, nullptr, nullptr, Plain::leave,
                                          Plain::leave, Plain::uncounted)
                        : Plain::get();
    return plain;
}

}  // namespace lws_proton
