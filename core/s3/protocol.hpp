// What a pad store says to a bucket, and what the answers mean. Pure functions; thread-safe.
//
// An object is named by its pad's address and holds the record. Every write carries a condition: "If-None-Match: *" makes an
// object, "If-Match: ETAG" replaces just the one that was seen; a server that would ignore them is found out by the probe
// (probe.hpp). The ETag is an opaque token. What a server says is a claim: its texts are shown escaped and shortened, and only
// an answer in S3's own form says that an object is absent: a proxy's page does not.
#pragma once

#include <optional>
#include <string>

#include "core/s3/http.hpp"
#include "core/s3/location.hpp"

namespace mutant::s3 {

// One request to the bucket, not yet signed.
struct request {
  std::string method;
  std::string object;                // "" is the bucket itself
  query_list query;
  header_list headers;
  bytes body;
  std::size_t max_answer_bytes = 0;
};

// What this server's conditions are like, as the probe found it.
struct traits {
  bool quoted_etags = true;          // If-Match takes the ETag in quotes, as it was given; Ceph's gateway wants it without
  bool conditional_delete = false;   // DELETE evaluates If-Match
  bool versioned = false;            // the bucket keeps what is overwritten
  std::string region;                // where the bucket was found
  friend bool operator==(const traits&, const traits&) = default;
};

// The content of an object that stands for an erased pad, where the server does not know conditional removal. No record is
// that short.
constexpr std::string_view erased_content = "erased\n";

request make_object(std::string object, bytes record);
request replace_object(std::string object, bytes record, const traits& how, std::string_view etag);
request remove_object(std::string object, const traits& how, std::string_view etag);
request read_object(std::string object);
// The first bytes of it.
request read_front(std::string object, std::size_t count);
// One page of names that begin with this; `after`: the token of the page before.
request list_objects(const std::string& prefix, const std::string& after);

// The ETag without quotes. "" if there is none.
std::string etag_of(const http_answer& answer);

enum class verdict : std::uint8_t {
  done,
  absent,      // there is no such object
  refused,     // the condition does not hold
  again,       // somebody else writes it at this moment: the same request again
  slow_down,
  unknown,     // no answer, or the server's failure: it may have happened
  expired,     // the session token
  skewed,      // our clock is wrong: see Date
  elsewhere,   // the bucket is in another region
  failed,
};

struct judgement {
  verdict what = verdict::failed;
  error why{errc::io_error, {}};     // of all but done, absent and refused
  std::string region;                // of elsewhere
};

judgement judge(const http_answer& answer, const request& asked, const location& where);

// The body of an answer to read_front: as many bytes as were asked for, or the object is that short. corrupt_record: it is of
// another length than the answer says.
result<bytes> front_of(const http_answer& answer, std::size_t count);

struct listing {
  std::uint64_t objects = 0;         // of a size that records have
  std::uint64_t object_bytes = 0;
  std::string next;                  // token of the next page; "": that was all
};
// io_error: not a listing.
result<listing> parse_listing(const http_answer& answer);

// What the <VersioningConfiguration> of a bucket says.
bool says_versioned(const http_answer& answer);

}  // namespace mutant::s3
