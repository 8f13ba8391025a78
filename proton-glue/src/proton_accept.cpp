// SPDX-License-Identifier: MIT
#include "proton_accept.hpp"

#include <proton/listener.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace lws_proton {

namespace {

// What this thread has accepted from last, in a round that is not over; -1: nothing.
thread_local int accepting_from = -1;
std::atomic<int> missing{0};

int accept_for_proton(int listening, sockaddr *address, socklen_t *length) {
    const int accepted = accept(listening, address, length);
    if (accepted >= 0) {
        accepting_from = listening;
        return accepted;
    }
    const bool first = std::exchange(accepting_from, -1) != listening;
    if (errno == EMFILE || errno == ENFILE)
        missing = errno;
    if (!first)
        errno = EWOULDBLOCK;
    else if (errno == EMFILE || errno == ENFILE)
        errno = ENOBUFS;
    return -1;
}

// A shared library, as the dynamic linker has it in memory.
class LoadedLibrary {
public:
    explicit LoadedLibrary(const dl_phdr_info &info) noexcept
        : base_(info.dlpi_addr), headers_(info.dlpi_phdr), header_count_(info.dlpi_phnum) {
        for (size_t i = 0; i < header_count_; i++)
            if (headers_[i].p_type == PT_DYNAMIC)
                read_dynamic(reinterpret_cast<const ElfW(Dyn) *>(base_ + headers_[i].p_vaddr));
    }

    bool contains(const void *p) const noexcept {
        const auto address = reinterpret_cast<ElfW(Addr)>(p);
        for (size_t i = 0; i < header_count_; i++)
            if (headers_[i].p_type == PT_LOAD && within(headers_[i], address))
                return true;
        return false;
    }

    // Each place where the library keeps the address of the function `name`, which it imports.
    template <typename Each> void each_import(const char *name, Each each) const noexcept {
        for (const Table &table : {calls_, rela_, rel_})
            for (size_t at = 0; table.start && at + table.entry <= table.size; at += table.entry) {
                // The beginning of an ElfW(Rela) is an ElfW(Rel).
                const auto *entry = reinterpret_cast<const ElfW(Rel) *>(table.start + at);
                const size_t symbol = sizeof(entry->r_info) == 8
                                          ? static_cast<uint64_t>(entry->r_info) >> 32
                                          : entry->r_info >> 8;
                if (symbol && !strcmp(strings_ + symbols_[symbol].st_name, name))
                    each(reinterpret_cast<void **>(base_ + entry->r_offset));
            }
    }

    // The linker has made it read-only since.
    bool is_sealed(const void *p) const noexcept {
        const auto address = reinterpret_cast<ElfW(Addr)>(p);
        for (size_t i = 0; i < header_count_; i++)
            if (headers_[i].p_type == PT_GNU_RELRO && within(headers_[i], address))
                return true;
        return false;
    }

private:
    struct Table {
        ElfW(Addr) start = 0;
        size_t size = 0;
        size_t entry = 0;
    };

    bool within(const ElfW(Phdr) &header, ElfW(Addr) address) const noexcept {
        const ElfW(Addr) start = base_ + header.p_vaddr;
        return address >= start && address - start < header.p_memsz;
    }

    void read_dynamic(const ElfW(Dyn) *dynamic) noexcept {
        // Some linkers have put the base into these already, some leave it to the reader.
        const auto address = [this](const ElfW(Dyn) &d) {
            return d.d_un.d_ptr < base_ ? base_ + d.d_un.d_ptr : d.d_un.d_ptr;
        };
        rela_.entry = sizeof(ElfW(Rela));
        rel_.entry = sizeof(ElfW(Rel));
        for (; dynamic->d_tag != DT_NULL; dynamic++)
            switch (dynamic->d_tag) {
            case DT_SYMTAB:
                symbols_ = reinterpret_cast<const ElfW(Sym) *>(address(*dynamic));
                break;
            case DT_STRTAB:
                strings_ = reinterpret_cast<const char *>(address(*dynamic));
                break;
            case DT_JMPREL:
                calls_.start = address(*dynamic);
                break;
            case DT_PLTRELSZ:
                calls_.size = dynamic->d_un.d_val;
                break;
            case DT_PLTREL:
                calls_.entry =
                    dynamic->d_un.d_val == DT_RELA ? sizeof(ElfW(Rela)) : sizeof(ElfW(Rel));
                break;
            case DT_RELA:
                rela_.start = address(*dynamic);
                break;
            case DT_RELASZ:
                rela_.size = dynamic->d_un.d_val;
                break;
            case DT_REL:
                rel_.start = address(*dynamic);
                break;
            case DT_RELSZ:
                rel_.size = dynamic->d_un.d_val;
                break;
            default:
                break;
            }
        if (!symbols_ || !strings_)
            calls_ = rela_ = rel_ = {};
    }

    const ElfW(Addr) base_;
    const ElfW(Phdr) *const headers_;
    const size_t header_count_;
    const ElfW(Sym) *symbols_ = nullptr;
    const char *strings_ = nullptr;
    Table calls_, rela_, rel_;
};

bool put(const LoadedLibrary &library, void **place, void *value) noexcept {
    const auto page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    void *const page =
        reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(place) & ~(page_size - 1));
    const bool sealed = library.is_sealed(place);
    if (sealed && mprotect(page, page_size, PROT_READ | PROT_WRITE) < 0)
        return false;
    __atomic_store_n(place, value, __ATOMIC_RELEASE);
    if (sealed)
        mprotect(page, page_size, PROT_READ);
    return true;
}

// For dl_iterate_phdr(); 1 ends it.
int replace_in(dl_phdr_info *info, size_t, void *replaced) {
    const LoadedLibrary library(*info);
    if (!library.contains(reinterpret_cast<const void *>(&pn_listener_close)))
        return 0;
    // Where Proton is part of this library, or of the program, its accept() is everybody's.
    const void *const ours = reinterpret_cast<const void *>(&accept_for_proton);
    if (library.contains(ours) || !info->dlpi_name[0])
        return 1;
    library.each_import("accept", [&](void **place) {
        if (put(library, place, reinterpret_cast<void *>(&accept_for_proton)))
            *static_cast<bool *>(replaced) = true;
    });
    return 1;
}

}  // namespace

bool replace_protons_accept() noexcept {
    static const bool done = [] {
        bool replaced = false;
        dl_iterate_phdr(replace_in, &replaced);
        return replaced;
    }();
    return done;
}

void accept_round_is_over() noexcept {
    accepting_from = -1;
}

int descriptors_were_missing() noexcept {
    return missing.exchange(0);
}

}  // namespace lws_proton
