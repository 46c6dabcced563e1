"""Batch norm and ReLU6 as one operation of PyTorch on a CPU, in bfloat16.

Training a MobileNet on a CPU is limited by memory bandwidth. PyTorch's own operations read and
write every map a dozen times; this one needs two passes forward and two back, and stores only its
input for the gradient. Needs a C++ compiler and ninja on first use.

Formulas of the gradient: Ioffe and Szegedy, "Batch Normalization" (2015).
"""

# ruff: noqa: ANN401 (PyTorch is not installed where types are checked)
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

SOURCE = r"""
#include <torch/extension.h>
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

static inline float wide(uint16_t half) {
  const uint32_t bits = uint32_t(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

static inline uint16_t narrow(float value) {  // to the nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static uint16_t* values(const at::Tensor& map) {
  return reinterpret_cast<uint16_t*>(map.data_ptr<at::BFloat16>());
}

// Sums of two terms per channel: in float over a block of rows, in double over the blocks.
// A map in channels_last is rows of channels, whatever its pictures, heights and widths.
template <typename Term>
static void sums(int64_t rows, int64_t channels, Doubles& first, Doubles& second, Term term) {
  Floats a(channels), b(channels);
  for (int64_t start = 0; start < rows; start += 256) {
    std::fill(a.begin(), a.end(), 0.0f);
    std::fill(b.begin(), b.end(), 0.0f);
    for (int64_t r = start; r < std::min(rows, start + 256); ++r) {
      float *pa = a.data(), *pb = b.data();
#pragma GCC ivdep
      for (int64_t c = 0; c < channels; ++c) term(r * channels + c, c, pa[c], pb[c]);
    }
    for (int64_t c = 0; c < channels; ++c) {
      first[c] += a[c];
      second[c] += b[c];
    }
  }
}

// The mean and the variance of every channel.
std::vector<at::Tensor> moments(const at::Tensor& x) {
  const int64_t channels = x.size(1), rows = x.numel() / channels;
  const uint16_t* from = values(x);
  Doubles sum(channels, 0.0), square(channels, 0.0);
  sums(rows, channels, sum, square, [=](int64_t i, int64_t, float& a, float& b) {
    const float v = wide(from[i]);
    a += v;
    b += v * v;
  });
  auto mean = at::empty({channels}, at::kFloat), variance = at::empty({channels}, at::kFloat);
  for (int64_t c = 0; c < channels; ++c) {
    const double m = sum[c] / rows;
    mean.data_ptr<float>()[c] = float(m);
    variance.data_ptr<float>()[c] = float(std::max(0.0, square[c] / rows - m * m));
  }
  return {mean, variance};
}

// x * scale + shift, clipped to low..high.
at::Tensor forward(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& shift,
                   double lowest, double highest) {
  const int64_t channels = x.size(1), rows = x.numel() / channels;
  auto y = at::empty_like(x);
  const uint16_t* from = values(x);
  uint16_t* to = values(y);
  const float *s = scale.data_ptr<float>(), *t = shift.data_ptr<float>();
  const float low = lowest, high = highest;
  for (int64_t r = 0; r < rows; ++r, from += channels, to += channels) {
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c)
      to[c] = narrow(std::min(std::max(wide(from[c]) * s[c] + t[c], low), high));
  }
  return y;
}

// The gradients of x, gamma and beta from that of y.
std::vector<at::Tensor> backward(const at::Tensor& dy, const at::Tensor& x,
                                 const at::Tensor& scale, const at::Tensor& shift,
                                 const at::Tensor& mean, const at::Tensor& inverse,
                                 double lowest, double highest) {
  const int64_t channels = x.size(1), rows = x.numel() / channels;
  auto dx = at::empty_like(x);
  const uint16_t *from = values(x), *up = values(dy);
  uint16_t* to = values(dx);
  const float *s = scale.data_ptr<float>(), *t = shift.data_ptr<float>();
  const float *m = mean.data_ptr<float>(), *inv = inverse.data_ptr<float>();
  const float low = lowest, high = highest;
  Doubles sum(channels, 0.0), along(channels, 0.0);
  sums(rows, channels, sum, along, [=](int64_t i, int64_t c, float& a, float& b) {
    const float v = wide(from[i]), z = v * s[c] + t[c];
    const float d = (z > low && z < high) ? wide(up[i]) : 0.0f;
    a += d;
    b += d * (v - m[c]);
  });
  // dx = scale * (d - mean(d) - xhat * mean(d * xhat)), as d * s + x * p + q
  auto dgamma = at::empty({channels}, at::kFloat), dbeta = at::empty({channels}, at::kFloat);
  Floats slope(channels), offset(channels);
  for (int64_t c = 0; c < channels; ++c) {
    const double part = along[c] * inv[c] * inv[c] / rows;
    slope[c] = float(-s[c] * part);
    offset[c] = float(s[c] * (part * m[c] - sum[c] / rows));
    dgamma.data_ptr<float>()[c] = float(along[c] * inv[c]);
    dbeta.data_ptr<float>()[c] = float(sum[c]);
  }
  const float *p = slope.data(), *q = offset.data();
  for (int64_t r = 0; r < rows; ++r, from += channels, up += channels, to += channels) {
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c) {
      const float v = wide(from[c]), z = v * s[c] + t[c];
      const float d = (z > low && z < high) ? wide(up[c]) : 0.0f;
      to[c] = narrow(d * s[c] + v * p[c] + q[c]);
    }
  }
  return {dx, dgamma, dbeta};
}
"""


@functools.cache
def operation() -> Callable[..., Any]:
    """`norm(x, mean, variance, gamma, beta, momentum, epsilon, relu)` for bfloat16 maps.

    x is (n, channels, height, width); `mean` and `variance` are the moving averages, which are
    updated; with `relu` the result is clipped to 0..6.
    """
    import torch  # type: ignore[import-not-found, unused-ignore]
    from torch.utils import cpp_extension  # type: ignore[import-not-found, unused-ignore]

    kernels = cpp_extension.load_inline(
        "pocketknn_fused",
        SOURCE,
        functions=["moments", "forward", "backward"],
        extra_cflags=["-O3", "-march=native", "-ffast-math", "-mprefer-vector-width=512"],
    )
    rows = torch.channels_last

    class Norm(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
        @staticmethod
        def forward(ctx: Any, x: Any, gamma: Any, beta: Any, options: tuple[Any, ...]) -> Any:
            moving_mean, moving_variance, momentum, epsilon, relu = options
            x = x.contiguous(memory_format=rows)
            mean, variance = kernels.moments(x)
            moving_mean.lerp_(mean, momentum)
            moving_variance.lerp_(variance, momentum)
            inverse = torch.rsqrt(variance + epsilon)
            scale = gamma * inverse
            shift = beta - mean * scale
            ctx.cut = (0.0, 6.0) if relu else (-3e38, 3e38)
            ctx.save_for_backward(x, scale, shift, mean, inverse)
            return kernels.forward(x, scale, shift, *ctx.cut)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            gradient = gradient.contiguous(memory_format=rows)
            return *kernels.backward(gradient, *ctx.saved_tensors, *ctx.cut), None

    def norm(x: Any, mean: Any, variance: Any, gamma: Any, beta: Any, *rest: float | bool) -> Any:
        return Norm.apply(x, gamma, beta, (mean.detach(), variance.detach(), *rest))

    return norm
