extension KernelSource {
  /// Kernels with one work item for each element.
  static let elementwise = KernelSource(
    name: "elementwise",
    #"""
    KERNEL fill(RESULTS(output), uint count, float value) {
      AT(output);
      if (ITEM < count) STORE(output, ITEM, value);
    }

    // a OP b, with a [outer, repeats, inner] and b [outer, inner].
    KERNEL combine(
      ACTIVATIONS(a), OTHERS(b), RESULTS(output), int operation, uint count, uint repeats, uint inner
    ) {
      AT(a); AT(b); AT(output);
      if (ITEM >= count) return;
      float x = LOAD(a, ITEM);
      float y = LOAD_OTHER(b, repeats == 1 ? ITEM : ITEM / (repeats * inner) * inner + ITEM % inner);
      STORE(output, ITEM, operation == 0 ? x + y : operation == 1 ? x - y : x * y);
    }

    KERNEL scaleAndShift(ACTIVATIONS(input), RESULTS(output), uint count, float scale, float offset) {
      AT(input); AT(output);
      if (ITEM < count) STORE(output, ITEM, multiplyAdd(LOAD(input, ITEM), scale, offset));
    }

    KERNEL addScaled(ACTIVATIONS(input), RESULTS(output), uint count, float scale) {
      AT(input); AT(output);
      if (ITEM < count) STORE(output, ITEM, multiplyAdd(LOAD(input, ITEM), scale, LOAD(output, ITEM)));
    }

    KERNEL clampElements(ACTIVATIONS(input), RESULTS(output), uint count, float lower, float upper) {
      AT(input); AT(output);
      if (ITEM < count) STORE(output, ITEM, smallest(largest(LOAD(input, ITEM), lower), upper));
    }

    KERNEL clampGradient(
      ACTIVATIONS(input), ACTIVATIONS(gradient), RESULTS(output), uint count, float lower, float upper
    ) {
      AT(input); AT(gradient); AT(output);
      if (ITEM >= count) return;
      float x = LOAD(input, ITEM);
      STORE(output, ITEM, x >= lower && x <= upper ? LOAD(gradient, ITEM) : 0);
    }

    // The normal distribution function.
    DEVICE float normalDistribution(float x) { return 0.5f * ERFC(-0.70710678f * x); }
    DEVICE float geluSlope(float x) {
      return normalDistribution(x) + x * EXP(-0.5f * x * x) * 0.39894228f;
    }

    KERNEL activate(ACTIVATIONS(input), RESULTS(output), int activation, uint count) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      float x = LOAD(input, ITEM);
      float y = activation == 0 ? silu(x) : x * (activation == 1 ? normalDistribution(x) : sigmoid(1.702f * x));
      STORE(output, ITEM, y);
    }

    KERNEL activationGradient(
      ACTIVATIONS(input), ACTIVATIONS(gradient), RESULTS(output), int activation, uint count
    ) {
      AT(input); AT(gradient); AT(output);
      if (ITEM >= count) return;
      float x = LOAD(input, ITEM), slope;
      if (activation == 0) {
        slope = siluSlope(x);
      } else if (activation == 1) {
        slope = geluSlope(x);
      } else {
        float s = sigmoid(1.702f * x);
        slope = s * (1 + 1.702f * x * (1 - s));
      }
      STORE(output, ITEM, LOAD(gradient, ITEM) * slope);
    }

    // Rows of `width` values, then `width` gates.
    KERNEL gatedGELU(ACTIVATIONS(input), RESULTS(output), uint count, uint width) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      uint at = ITEM / width * 2 * width + ITEM % width;
      float gate = LOAD(input, at + width);
      STORE(output, ITEM, LOAD(input, at) * gate * normalDistribution(gate));
    }

    KERNEL gatedGELUGradient(ACTIVATIONS(input), ACTIVATIONS(gradient), RESULTS(output), uint count, uint width) {
      AT(input); AT(gradient); AT(output);
      if (ITEM >= count) return;
      uint at = ITEM / width * 2 * width + ITEM % width;
      float value = LOAD(input, at), gate = LOAD(input, at + width), dy = LOAD(gradient, ITEM);
      STORE(output, at, dy * gate * normalDistribution(gate));
      STORE(output, at + width, dy * value * geluSlope(gate));
    }

    // Exponential, square, absolute, log sigmoid.
    KERNEL evaluate(ACTIVATIONS(input), RESULTS(output), int function, uint count) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      float x = LOAD(input, ITEM);
      STORE(output, ITEM, function == 0 ? EXP(x)
        : function == 1 ? x * x
        : function == 2 ? magnitude(x)
        : smallest(x, 0) - LOG1P(EXP(-magnitude(x))));
    }

    KERNEL evaluateGradient(ACTIVATIONS(input), ACTIVATIONS(gradient), RESULTS(output), int function, uint count) {
      AT(input); AT(gradient); AT(output);
      if (ITEM >= count) return;
      float x = LOAD(input, ITEM), dy = LOAD(gradient, ITEM);
      STORE(output, ITEM, function == 0 ? dy * EXP(x)
        : function == 1 ? 2 * x * dy
        : function == 2 ? (x < 0 ? -dy : x == 0 ? 0 : dy)
        : dy / (1 + EXP(x)));
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
    """#)
}
