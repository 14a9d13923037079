extension KernelSource {
  /// Copies, and sums of a few elements, with one work item for each element of the result.
  static let movement = KernelSource(
    name: "movement",
    #"""
    KERNEL copyRows(
      ACTIVATIONS(input), OTHER_RESULTS(output), uint count, uint width, uint inputStride, uint outputStride
    ) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      uint row = ITEM / width, column = ITEM % width;
      STORE_OTHER(output, (wide)row * outputStride + column, LOAD(input, (wide)row * inputStride + column));
    }

    KERNEL gatherRows(ACTIVATIONS(input), INDICES(indices), OTHER_RESULTS(output), uint count, uint width) {
      AT(input); AT(indices); AT(output);
      if (ITEM >= count) return;
      STORE_OTHER(output, ITEM, LOAD(input, (wide)indices[ITEM / width] * width + ITEM % width));
    }

    // Chains: for every target its row in the output, the first row of the input that is added to it,
    // and, after those, the next one of each row; -1 ends a chain.
    KERNEL scatterRows(
      ACTIVATIONS(input), INDICES(chains), OTHER_RESULTS(output), uint count, uint width, uint targets
    ) {
      AT(input); AT(chains); AT(output);
      if (ITEM >= count) return;
      uint target = ITEM / width, column = ITEM % width;
      wide at = (wide)chains[target] * width + column;
      float sum = LOAD_OTHER(output, at);
      for (int row = chains[targets + target]; row >= 0; row = chains[2 * targets + row])
        sum += LOAD(input, (wide)row * width + column);
      STORE_OTHER(output, at, sum);
    }

    // [batch, rows, columns, width] to [batch, columns, rows, width].
    KERNEL transpose(
      ACTIVATIONS(input), RESULTS(output), uint count, uint rows, uint columns, uint width
    ) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      uint place = ITEM % width, rest = ITEM / width;
      uint row = rest % rows;
      rest /= rows;
      uint column = rest % columns, image = rest / columns;
      STORE(output, ITEM, LOAD(input, ((wide)(image * rows + row) * columns + column) * width + place));
    }

    // Extents of the small image; `rowLength` is its width times channels.
    KERNEL upsampleNearest(
      ACTIVATIONS(input), RESULTS(output), uint count, uint width, uint channels
    ) {
      AT(input); AT(output);
      if (ITEM >= count) return;
      uint channel = ITEM % channels, pixel = ITEM / channels;
      uint x = pixel % (2 * width), row = pixel / (2 * width);
      STORE(output, ITEM, LOAD(input, ((wide)(row / 2) * width + x / 2) * channels + channel));
    }

    KERNEL upsampleNearestGradient(
      ACTIVATIONS(gradient), RESULTS(output), uint count, uint width, uint channels
    ) {
      AT(gradient); AT(output);
      if (ITEM >= count) return;
      uint channel = ITEM % channels, pixel = ITEM / channels;
      uint x = pixel % width, row = pixel / width;
      wide at = ((wide)(2 * row) * 2 * width + 2 * x) * channels + channel;
      wide below = at + 2 * (wide)width * channels;
      float sum = LOAD(gradient, at) + LOAD(gradient, at + channels) + LOAD(gradient, below);
      STORE(output, ITEM, sum + LOAD(gradient, below + channels));
    }

    // Each place of the result blends four of the source.
    KERNEL resample(
      ACTIVATIONS(input), INDICES(sources), INPUT(weights), RESULTS(output), uint count, uint length,
      uint places, uint width
    ) {
      AT(input); AT(sources); AT(weights); AT(output);
      if (ITEM >= count) return;
      uint column = ITEM % width, rest = ITEM / width;
      uint place = rest % places, row = rest / places;
      float sum = 0;
      for (uint tap = 4 * place; tap < 4 * place + 4; tap++)
        sum += weights[tap] * LOAD(input, ((wide)row * length + sources[tap]) * width + column);
      STORE(output, ITEM, sum);
    }

    // The taps of each source: those from `starts[source]` to before `starts[source + 1]` of `order`.
    KERNEL resampleGradient(
      ACTIVATIONS(gradient), INDICES(starts), INDICES(order), INPUT(weights), RESULTS(output), uint count,
      uint length, uint places, uint width
    ) {
      AT(gradient); AT(starts); AT(order); AT(weights); AT(output);
      if (ITEM >= count) return;
      uint column = ITEM % width, rest = ITEM / width;
      uint source = rest % length, row = rest / length;
      float sum = 0;
      for (int i = starts[source]; i < starts[source + 1]; i++) {
        int tap = order[i];
        sum += weights[tap] * LOAD(gradient, ((wide)row * places + tap / 4) * width + column);
      }
      STORE(output, ITEM, sum);
    }
    """#)
}
