#include "certificate.hpp"

#include "check.hpp"
#include "close_file.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <memory>

namespace e2e {

namespace {

constexpr long kDay = 24 * 60 * 60;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using X509Ptr = std::unique_ptr<X509, decltype(&X509_free)>;

X509Ptr self_signed(const std::string &common_name, EVP_PKEY *key)
{
    X509Ptr certificate(X509_new(), X509_free);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kDay);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kDay);
    X509_set_pubkey(certificate.get(), key);
    X509_NAME *name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char *>(common_name.c_str()), -1, -1,
                               0);
    X509_set_issuer_name(certificate.get(), name);
    CHECK(X509_sign(certificate.get(), key, EVP_sha256()) > 0);
    return certificate;
}

} // namespace

Certificate::Certificate(const std::string &common_name)
    : path_(directory_.file("certificate.pem")), key_path_(directory_.file("key.pem"))
{
    const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    CHECK(key);
    const X509Ptr certificate = self_signed(common_name, key.get());
    const File certificate_file(fopen(path_.c_str(), "w"));
    const File key_file(fopen(key_path_.c_str(), "w"));
    CHECK(certificate_file && PEM_write_X509(certificate_file.get(), certificate.get()));
    CHECK(key_file && PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                           nullptr));
}

} // namespace e2e
