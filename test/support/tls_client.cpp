#include "tls_client.hpp"

#include "check.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace e2e {

TlsStream::TlsStream(TcpSocket socket, SSL_CTX *context)
    : socket_(std::move(socket)), context_(context, SSL_CTX_free),
      ssl_(SSL_new(context), SSL_free)
{
    CHECK(ssl_);
    SSL_set_fd(ssl_.get(), socket_.fd());
}

template <typename Call> int TlsStream::complete(const char *what, Call call)
{
    const Deadline deadline;
    while (true) {
        ERR_clear_error();
        const int result = call();
        if (result > 0)
            return result;
        bool ready = false;
        switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
            ready = socket_.await_readable(deadline);
            break;
        case SSL_ERROR_WANT_WRITE:
            ready = socket_.await_writable(deadline);
            break;
        default:
            return 0;
        }
        if (!ready)
            FAIL(std::string("the peer leaves unfinished: ") + what);
    }
}

void TlsStream::send_all(std::string_view data)
{
    if (!complete("taking bytes", [&] {
            return SSL_write(ssl_.get(), data.data(), static_cast<int>(data.size()));
        }))
        FAIL("the peer closed the connection");
}

std::string TlsStream::receive_some()
{
    std::string block(65536, '\0');
    const int got = complete("an answer", [&] {
        return SSL_read(ssl_.get(), block.data(), static_cast<int>(block.size()));
    });
    block.resize(static_cast<size_t>(got));
    return block;
}

std::string TlsStream::receive_to_end()
{
    std::string all;
    for (std::string block; !(block = receive_some()).empty();)
        all += block;
    return all;
}

void TlsStream::end()
{
    // 0: sent, and the peer's own is not here yet.
    SSL_shutdown(ssl_.get());
}

bool TlsStream::ended_by_peer() const
{
    return SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN;
}

TlsClient::TlsClient(int port, const std::string &server_name)
    : TlsStream(TcpSocket(port), SSL_CTX_new(TLS_client_method()))
{
    if (!server_name.empty())
        SSL_set_tlsext_host_name(ssl_.get(), server_name.c_str());
    CHECK_EQ(socket_.await_connected(), 0);
    CHECK(complete("the TLS handshake", [&] { return SSL_connect(ssl_.get()); }) > 0);
}

std::string TlsClient::server_common_name() const
{
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        SSL_get1_peer_certificate(ssl_.get()), X509_free);
    CHECK(certificate);
    char name[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name,
                              sizeof name);
    return name;
}

TlsServer::TlsServer(TcpSocket accepted, const std::string &certificate, const std::string &key)
    : TlsStream(std::move(accepted), SSL_CTX_new(TLS_server_method()))
{
    CHECK(SSL_use_certificate_file(ssl_.get(), certificate.c_str(), SSL_FILETYPE_PEM) > 0);
    CHECK(SSL_use_PrivateKey_file(ssl_.get(), key.c_str(), SSL_FILETYPE_PEM) > 0);
    CHECK(complete("the TLS handshake", [&] { return SSL_accept(ssl_.get()); }) > 0);
}

} // namespace e2e
