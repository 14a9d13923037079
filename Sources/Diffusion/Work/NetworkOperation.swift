/// What a network computes, as far as it takes time: for one row of a batch.
enum NetworkOperation: Hashable {
  /// Gives `places` values of each of its output channels.
  case convolution(places: Int, inputs: Int, outputs: Int, kernel: Int)
  case linear(rows: Int, inputs: Int, outputs: Int)
  /// Scores of every query with every key, and their sums over values; all heads together `width`.
  case attention(queries: Int, keys: Int, width: Int, heads: Int)
  /// Numbers that pass through a normalisation, an activation or a sum.
  case elements(Int)

  /// A multiplication and an addition count as two; nothing else counts.
  var work: Int {
    switch self {
    case .convolution(let places, let inputs, let outputs, let kernel):
      2 * places * inputs * outputs * kernel * kernel
    case .linear(let rows, let inputs, let outputs): 2 * rows * inputs * outputs
    case .attention(let queries, let keys, let width, _): 4 * queries * keys * width
    case .elements: 0
    }
  }
}

extension NetworkPart {
  var operations: [NetworkOperation] {
    switch kind {
    case .convolution(let kernel):
      return [.convolution(places: places, inputs: inputs, outputs: outputs, kernel: kernel)]
    case .linear:
      return [.linear(rows: places, inputs: inputs, outputs: outputs)]
    case .resnet(let timeWidth):
      let shortcut: [NetworkOperation] =
        inputs == outputs
        ? [] : [.convolution(places: places, inputs: inputs, outputs: outputs, kernel: 1)]
      let time = timeWidth.map { [NetworkOperation.linear(rows: 1, inputs: $0, outputs: outputs)] }
      return [
        .convolution(places: places, inputs: inputs, outputs: outputs, kernel: 3),
        .convolution(places: places, inputs: outputs, outputs: outputs, kernel: 3),
        // Both norms, the timestep, the sum, and the joining.
        .elements(places * (inputs + 4 * outputs + (isJoined ? inputs : 0))),
      ] + shortcut + (time ?? [])
    case .attention:
      return [NetworkOperation](
        repeating: .linear(rows: places, inputs: inputs, outputs: inputs), count: 4) + [
          .attention(queries: places, keys: places, width: inputs, heads: 1),
          .elements(2 * places * inputs),
        ]
    case .transformer(let layers, let tokens, let contextWidth, let heads):
      let width = inputs
      let square = NetworkOperation.linear(rows: places, inputs: width, outputs: width)
      let context = NetworkOperation.linear(rows: tokens, inputs: contextWidth, outputs: width)
      let layer: [NetworkOperation] =
        [square, square, square, square, square, square, context, context] + [
          .attention(queries: places, keys: places, width: width, heads: heads),
          .attention(queries: places, keys: tokens, width: width, heads: heads),
          .linear(rows: places, inputs: width, outputs: 8 * width),
          .linear(rows: places, inputs: 4 * width, outputs: width),
          // Three norms, three sums, and the gates.
          .elements(places * width * 14),
        ]
      // Into and out of the layers: convolutions in the first models, linear in later ones.
      let projection = NetworkOperation.convolution(
        places: places, inputs: width, outputs: width, kernel: 1)
      return [projection, projection, .elements(2 * places * width)]
        + (0..<layers).flatMap { _ in layer }
    }
  }
}

extension CLIPTransformerConfiguration {
  /// - Parameter isTimeConditioned: whether each layer is modulated by a timestep
  func operations(tokens: Int, isTimeConditioned: Bool) -> [NetworkOperation] {
    let square = NetworkOperation.linear(rows: tokens, inputs: width, outputs: width)
    let layer: [NetworkOperation] = [
      square, square, square, square,
      .attention(queries: tokens, keys: tokens, width: width, heads: heads),
      .linear(rows: tokens, inputs: width, outputs: feedForwardWidth),
      .linear(rows: tokens, inputs: feedForwardWidth, outputs: width),
      .elements(tokens * (4 * width + feedForwardWidth + (isTimeConditioned ? 6 * width : 0))),
    ]
    let modulation: [NetworkOperation] =
      isTimeConditioned ? [.linear(rows: 1, inputs: width, outputs: 6 * width)] : []
    return (0..<layers).flatMap { _ in layer + modulation }
  }
}
