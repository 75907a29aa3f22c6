#include "actors/folders/pipeline.hpp"

namespace mutant {

pipeline::pipeline(client& of, pipeline_limits limits)
    : store_(of.store()), self_(std::make_unique<caf::scoped_actor>(of.system())), limits_(limits) {}

pipeline::~pipeline() {
  finish();
}

// No time limit of its own: whoever is asked keeps them (docs/design.md), and a timer would outlive its call.
template <class Result, class Atom, class Request>
void pipeline::start(Atom atom, Request request, std::uint64_t bytes, told<Result> then) {
  while (!calls_.empty() && (calls_.size() >= limits_.calls || bytes_ + bytes > limits_.bytes))
    end_first();
  if constexpr (requires { request.options; })
    request.options.cancellation_id = client_cancellation_id;
  using handle = decltype((*self_)->request(store_, caf::infinite, atom, std::move(request)));
  auto answer = std::make_shared<handle>((*self_)->request(store_, caf::infinite, atom, std::move(request)));
  calls_.push_back({bytes, [answer, then = std::move(then)] {
                      std::optional<result<Result>> out;
                      answer->receive([&](Result& value) { out.emplace(std::move(value)); },
                                      [&](caf::error& e) { out.emplace(fail(from_caf(e))); });
                      then(*out);
                    }});
  bytes_ += bytes;
}

void pipeline::end_first() {
  auto first = std::move(calls_.front());
  calls_.pop_front();
  bytes_ -= first.bytes;
  first.end();
}

void pipeline::put(put_request request, std::uint64_t bytes, told<put_result> then) {
  start<put_result>(put_atom_v, std::move(request), bytes, std::move(then));
}

void pipeline::get(get_request request, std::uint64_t bytes, told<get_result> then) {
  start<get_result>(get_atom_v, std::move(request), bytes, std::move(then));
}

void pipeline::check(check_request request, std::uint64_t bytes, told<check_result> then) {
  start<check_result>(check_atom_v, std::move(request), bytes, std::move(then));
}

void pipeline::remove(remove_request request, told<done> then) {
  start<done>(remove_atom_v, std::move(request), 0, std::move(then));
}

void pipeline::finish() {
  while (!calls_.empty())
    end_first();
}

}  // namespace mutant
