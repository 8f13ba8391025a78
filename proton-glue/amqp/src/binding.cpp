// SPDX-License-Identifier: MIT
#include "binding.hpp"

namespace lws_proton::amqp {

namespace {

using S = State;

constexpr uint8_t begin = act_begin, limit = act_limit, kill = act_kill, lose = act_lose;

// clang-format off
// Rows are states, columns are events. A cell that repeats its row's state with no action is an
// event that means nothing there.
constexpr Transition kTable[kStates][kEvents] = {
    // established        half_ended          ended               violated                expired             gone
    {{S::open, begin},    {S::arriving, 0},   {S::arriving, 0},   {S::arriving, kill},    {S::arriving, 0},   {S::closed, 0}},     // arriving
    {{S::open, begin},    {S::upgrading, 0},  {S::upgrading, 0},  {S::upgrading, 0},      {S::upgrading, 0},  {S::closed, lose}},  // upgrading
    {{S::open, 0},        {S::ending, limit}, {S::closing, limit},{S::closing, lose|limit},{S::open, 0},      {S::closed, lose}},  // open
    {{S::ending, 0},      {S::ending, 0},     {S::closing, 0},    {S::closing, lose},     {S::closing, kill}, {S::closed, lose}},  // ending
    {{S::closing, 0},     {S::closing, 0},    {S::closing, 0},    {S::closing, 0},        {S::closing, kill}, {S::closed, lose}},  // closing
    {{S::closed, 0},      {S::closed, 0},     {S::closed, 0},     {S::closed, 0},         {S::closed, 0},     {S::closed, 0}},     // closed
};
// clang-format on

}  // namespace

Transition transition(State state, Event event) noexcept {
    return kTable[static_cast<int>(state)][static_cast<int>(event)];
}

}  // namespace lws_proton::amqp
