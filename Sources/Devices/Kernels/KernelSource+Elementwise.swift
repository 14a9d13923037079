extension KernelSource {
  /// Kernels with one work item for each element.
  static let elementwise = KernelSource(
    name: "elementwise",
    #"""
    KERNEL fill(OUTPUT(output), uint count, float value) {
      AT(output);
      if (ITEM < count) output[ITEM] = value;
    }

    // a OP b, with a [outer, repeats, inner] and b [outer, inner].
    KERNEL combine(
      INPUT(a), INPUT(b), OUTPUT(output), int operation, uint count, uint repeats, uint inner
    ) {
      AT(a); AT(b); AT(output);
      if (ITEM >= count) return;
      float x = a[ITEM];
      float y = b[repeats == 1 ? ITEM : ITEM / (repeats * inner) * inner + ITEM % inner];
      output[ITEM] = operation == 0 ? x + y : operation == 1 ? x - y : x * y;
    }

    KERNEL scaleAndShift(INPUT(input), OUTPUT(output), uint count, float scale, float offset) {
      AT(input); AT(output);
      if (ITEM < count) output[ITEM] = multiplyAdd(input[ITEM], scale, offset);
    }

    KERNEL addScaled(INPUT(input), OUTPUT(output), uint count, float scale) {
      AT(input); AT(output);
      if (ITEM < count) output[ITEM] = multiplyAdd(input[ITEM], scale, output[ITEM]);
    }

    KERNEL clampElements(INPUT(input), OUTPUT(output), uint count, float lower, float upper) {
      AT(input); AT(output);
      if (ITEM < count) output[ITEM] = smallest(largest(input[ITEM], lower), upper);
    }

    KERNEL clampGradient(
      INPUT(input), INPUT(gradient), OUTPUT(output), uint count, float lower, float upper
    ) {
      AT(input); AT(gradient); AT(output);
      if (ITEM >= count) return;
      float x = input[ITEM];
      output[ITEM] = (x >= lower) & (x <= upper) ? gradient[ITEM] : 0;
    }

    // The normal distribution function.
    DEVICE float normalDistribution(float x) { return 0.5f * ERFC(-0.70710678f * x); }
    DEVICE float geluSlope(float x) {
      return normalDistribution(x) + x * EXP(-0.5f * x * x) * 0.39894228f;
    }

    KERNEL activate(INPUT(input), OUTPUT(output), int activation, uint count) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      float x = input[ITEM];
      output[ITEM] =
        activation == 0 ? silu(x) : x * (activation == 1 ? normalDistribution(x) : sigmoid(1.702f * x));
    }

    KERNEL activationGradient(
      INPUT(input), INPUT(gradient), OUTPUT(output), int activation, uint count
    ) {
      AT(input); AT(gradient); AT(output);
      if (ITEM >= count) return;
      float x = input[ITEM], slope;
      if (activation == 0) {
        slope = siluSlope(x);
      } else if (activation == 1) {
        slope = geluSlope(x);
      } else {
        float s = sigmoid(1.702f * x);
        slope = s * (1 + 1.702f * x * (1 - s));
      }
      output[ITEM] = gradient[ITEM] * slope;
    }

    // Rows of `width` values, then `width` gates.
    KERNEL gatedGELU(INPUT(input), OUTPUT(output), uint count, uint width) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      uint at = ITEM / width * 2 * width + ITEM % width;
      float gate = input[at + width];
      output[ITEM] = input[at] * gate * normalDistribution(gate);
    }

    KERNEL gatedGELUGradient(INPUT(input), INPUT(gradient), OUTPUT(output), uint count, uint width) {
      AT(input); AT(gradient); AT(output);
      if (ITEM >= count) return;
      uint at = ITEM / width * 2 * width + ITEM % width;
      float value = input[at], gate = input[at + width], dy = gradient[ITEM];
      output[at] = dy * gate * normalDistribution(gate);
      output[at + width] = dy * value * geluSlope(gate);
    }

    // Exponential, square, absolute, log sigmoid.
    KERNEL evaluate(INPUT(input), OUTPUT(output), int function, uint count) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      float x = input[ITEM];
      output[ITEM] = function == 0 ? EXP(x)
        : function == 1 ? x * x
        : function == 2 ? magnitude(x)
        : smallest(x, 0) - LOG1P(EXP(-magnitude(x)));
    }

    KERNEL evaluateGradient(INPUT(input), INPUT(gradient), OUTPUT(output), int function, uint count) {
      AT(input); AT(gradient); AT(output);
      if (ITEM >= count) return;
      float x = input[ITEM], dy = gradient[ITEM];
      output[ITEM] = function == 0 ? dy * EXP(x)
        : function == 1 ? 2 * x * dy
        : function == 2 ? (x < 0 ? -dy : x == 0 ? 0 : dy)
        : dy / (1 + EXP(x));
    }

    KERNEL adamW(
      INPUT(gradient), OUTPUT(mean), OUTPUT(square), OUTPUT(parameter), uint count, float beta1,
      float beta2, float epsilon, float decay, float rate, float squareScale
    ) {
      AT(gradient); AT(mean); AT(square); AT(parameter);
      if (ITEM >= count) return;
      float g = gradient[ITEM];
      float m = beta1 * mean[ITEM] + (1 - beta1) * g;
      float s = beta2 * square[ITEM] + (1 - beta2) * g * g;
      mean[ITEM] = m;
      square[ITEM] = s;
      parameter[ITEM] = parameter[ITEM] * decay - rate * m / (SQRT(s) * squareScale + epsilon);
    }

    KERNEL widenElements(HALVES(input), OUTPUT(output), uint count, int isBfloat16) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      ushort bits = input[ITEM];
      output[ITEM] = isBfloat16 ? widenedBfloat16(bits) : widenedBinary16(bits);
    }
    """#)
}
