// For programs with the roots they trust compiled in: loaded with LD_PRELOAD, it adds the certificate
// in the file SSL_CERT_FILE to each store of them, so that servers of the local network are trusted.

#include <dlfcn.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace {

X509 *read_certificate()
{
    const std::unique_ptr<FILE, int (*)(FILE *)> file(fopen(getenv("SSL_CERT_FILE"), "r"), &fclose);
    return file ? PEM_read_X509(file.get(), nullptr, nullptr, nullptr) : nullptr;
}

} // namespace

extern "C" int X509_STORE_add_cert(X509_STORE *store, X509 *root)
{
    static X509 *const local = read_certificate();
    const auto add = reinterpret_cast<decltype(&X509_STORE_add_cert)>(
        dlsym(RTLD_NEXT, "X509_STORE_add_cert"));
    if (local)
        add(store, local);
    return add(store, root);
}
