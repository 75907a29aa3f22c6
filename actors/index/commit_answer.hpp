// Whom a commit answers, each in its own terms.
#pragma once

#include <memory>
#include <variant>

#include "actors/interfaces.hpp"

namespace mutant {

class commit_answer {
 public:
  struct put {
    caf::typed_response_promise<put_result> promise;
    std::uint64_t size = 0;
  };
  // A list of requests, each for itself; it is answered with the last of them.
  struct list {
    caf::typed_response_promise<commit_outcomes> promise;
    commit_outcomes outcomes;
    std::size_t missing = 0;
  };
  struct one_of_list {
    std::shared_ptr<list> of;
    std::size_t number = 0;
  };

  commit_answer(put whom) : whom_(std::move(whom)) {}
  commit_answer(one_of_list whom) : whom_(std::move(whom)) {}
  commit_answer(caf::typed_response_promise<commit_result> whom) : whom_(std::move(whom)) {}
  commit_answer(caf::typed_response_promise<done> whom) : whom_(std::move(whom)) {}

  bool is_of_list() const noexcept { return std::holds_alternative<one_of_list>(whom_); }

  void succeed(std::uint64_t version) {
    if (auto* value = std::get_if<put>(&whom_)) {
      put_result out;
      out.size = out.bytes_written = value->size;
      out.version = version;
      value->promise.deliver(out);
    } else if (auto* listed = std::get_if<one_of_list>(&whom_)) {
      note(*listed, {version, std::nullopt});
    } else if (auto* whole = std::get_if<caf::typed_response_promise<commit_result>>(&whom_)) {
      whole->deliver(commit_result{version});
    } else {
      std::get<caf::typed_response_promise<done>>(whom_).deliver(done{});
    }
  }

  void refuse(const error& e) {
    if (auto* value = std::get_if<put>(&whom_))
      value->promise.deliver(to_caf(e));
    else if (auto* listed = std::get_if<one_of_list>(&whom_))
      note(*listed, {0, e});
    else if (auto* whole = std::get_if<caf::typed_response_promise<commit_result>>(&whom_))
      whole->deliver(to_caf(e));
    else
      std::get<caf::typed_response_promise<done>>(whom_).deliver(to_caf(e));
  }

 private:
  static void note(const one_of_list& one, commit_outcome outcome) {
    one.of->outcomes[one.number] = std::move(outcome);
    if (--one.of->missing == 0)
      one.of->promise.deliver(std::move(one.of->outcomes));
  }

  std::variant<caf::typed_response_promise<commit_result>, put, one_of_list, caf::typed_response_promise<done>> whom_;
};

}  // namespace mutant
