/// A block of a network, as far as its work and its memory are concerned: for one row of a batch.
struct NetworkPart: Equatable {
  enum Kind: Equatable {
    /// From `inputPlaces` to `places`.
    case convolution(kernel: Int)
    /// `timeWidth` is nil where no timestep is told.
    case resnet(timeWidth: Int?)
    /// Attention among the places and, where there is a context, to its tokens.
    case transformer(layers: Int, tokens: Int, contextWidth: Int, heads: Int)
    /// One head over all places, as in the middle of an autoencoder.
    case attention
    /// From one vector to another.
    case linear
  }

  var kind: Kind
  /// Height times width of what comes out.
  var places: Int
  var inputs: Int
  var outputs: Int
  /// Height times width of what goes in.
  var inputPlaces: Int
  /// Numbers that wait for the way up meanwhile.
  var waiting = 0
  /// Whether what goes in is joined from two tensors.
  var isJoined = false
  /// Whether it belongs to the way up of a U-Net.
  var isWayUp = false

  init(
    _ kind: Kind, places: Int, inputs: Int, outputs: Int, inputPlaces: Int? = nil,
    isJoined: Bool = false
  ) {
    self.kind = kind
    self.places = places
    self.inputs = inputs
    self.outputs = outputs
    self.inputPlaces = inputPlaces ?? places
    self.isJoined = isJoined
  }
}

extension UNetConfiguration {
  /// The blocks of a forward pass over latents of `height` x `width`, in order.
  func parts(height: Int, width: Int, tokens: Int) -> [NetworkPart] {
    let timeWidth = 4 * channels[0]
    let last = channels.count - 1
    let places = placesByLevel(height: height, width: width)
    var parts: [NetworkPart] = []
    var isWayUp = false
    // What the way down leaves for the way up.
    var skips: [(places: Int, channels: Int)] = []
    func add(_ part: NetworkPart) {
      parts.append(part)
      parts[parts.count - 1].waiting = skips.reduce(0) { $0 + $1.places * $1.channels }
      parts[parts.count - 1].isWayUp = isWayUp
    }
    func addResnet(_ level: Int, inputs: Int, isJoined: Bool = false) {
      add(
        .init(
          .resnet(timeWidth: timeWidth), places: places[level], inputs: inputs,
          outputs: channels[level], isJoined: isJoined))
    }
    func addTransformer(_ level: Int) {
      add(
        .init(
          .transformer(
            layers: transformerLayers[level], tokens: tokens, contextWidth: contextWidth,
            heads: heads[level]),
          places: places[level], inputs: channels[level], outputs: channels[level]))
    }

    for inputs in [channels[0]] + (textTime.map { [$0.inputWidth] } ?? []) {
      add(.init(.linear, places: 1, inputs: inputs, outputs: timeWidth))
      add(.init(.linear, places: 1, inputs: timeWidth, outputs: timeWidth))
    }

    // down
    add(
      .init(
        .convolution(kernel: 3), places: places[0], inputs: inputChannels, outputs: channels[0]))
    skips.append((places[0], channels[0]))
    for level in channels.indices {
      for layer in 0..<layersPerBlock[level] {
        addResnet(level, inputs: channels[layer == 0 ? max(0, level - 1) : level])
        if downBlocks[level] == .crossAttention { addTransformer(level) }
        skips.append((places[level], channels[level]))
      }
      guard level < last else { continue }
      add(
        .init(
          .convolution(kernel: 3), places: places[level + 1], inputs: channels[level],
          outputs: channels[level], inputPlaces: places[level]))
      skips.append((places[level + 1], channels[level]))
    }

    // middle
    if hasMiddleBlock {
      addResnet(last, inputs: channels[last])
      addTransformer(last)
      addResnet(last, inputs: channels[last])
    }

    // up
    isWayUp = true
    var inputs = channels[last]
    for level in channels.indices.reversed() {
      for _ in 0...layersPerBlock[level] {
        addResnet(level, inputs: inputs + skips.removeLast().channels, isJoined: true)
        if upBlocks[last - level] == .crossAttention { addTransformer(level) }
        inputs = channels[level]
      }
      guard level > 0 else { continue }
      add(
        .init(
          .convolution(kernel: 3), places: places[level - 1], inputs: inputs, outputs: inputs))
    }
    add(
      .init(
        .convolution(kernel: 3), places: places[0], inputs: channels[0], outputs: outputChannels))
    return parts
  }

  private func placesByLevel(height: Int, width: Int) -> [Int] {
    var sizes = [(height, width)]
    let rounding = downsamplePadding == 0 ? 0 : 1
    for _ in 1..<max(1, channels.count) {
      let (height, width) = sizes[sizes.count - 1]
      sizes.append(((height + rounding) / 2, (width + rounding) / 2))
    }
    return sizes.map { $0.0 * $0.1 }
  }
}

extension AutoencoderConfiguration {
  /// The blocks of decoding latents of `height` x `width`.
  func decoderParts(height: Int, width: Int) -> [NetworkPart] {
    var places = height * width
    let widths = Array(channels.reversed())
    let latents = latentChannels
    var parts: [NetworkPart] = []
    if hasPostQuantConvolution {
      parts.append(
        .init(.convolution(kernel: 1), places: places, inputs: latents, outputs: latents))
    }
    parts.append(
      .init(.convolution(kernel: 3), places: places, inputs: latents, outputs: widths[0]))
    parts += middleParts(places)
    for level in widths.indices {
      for layer in 0...layersPerBlock {
        let inputs = widths[layer == 0 ? max(0, level - 1) : level]
        parts.append(
          .init(.resnet(timeWidth: nil), places: places, inputs: inputs, outputs: widths[level]))
      }
      guard level < widths.count - 1 else { continue }
      places *= 4
      parts.append(
        .init(
          .convolution(kernel: 3), places: places, inputs: widths[level], outputs: widths[level]))
    }
    parts.append(
      .init(.convolution(kernel: 3), places: places, inputs: channels[0], outputs: outputChannels))
    return parts
  }

  /// The blocks of encoding pictures of `height` x `width`, multiples of `reduction`.
  func encoderParts(height: Int, width: Int) -> [NetworkPart] {
    var places = height * width
    var parts = [
      NetworkPart(
        .convolution(kernel: 3), places: places, inputs: imageChannels, outputs: channels[0])
    ]
    for level in channels.indices {
      for layer in 0..<layersPerBlock {
        let inputs = channels[layer == 0 ? max(0, level - 1) : level]
        parts.append(
          .init(.resnet(timeWidth: nil), places: places, inputs: inputs, outputs: channels[level]))
      }
      guard level < channels.count - 1 else { continue }
      places /= 4
      parts.append(
        .init(
          .convolution(kernel: 3), places: places, inputs: channels[level],
          outputs: channels[level], inputPlaces: 4 * places))
    }
    parts += middleParts(places)
    let moments = 2 * latentChannels
    parts.append(
      .init(
        .convolution(kernel: 3), places: places, inputs: channels[channels.count - 1],
        outputs: moments))
    if hasQuantConvolution {
      parts.append(
        .init(.convolution(kernel: 1), places: places, inputs: moments, outputs: moments))
    }
    return parts
  }

  private func middleParts(_ places: Int) -> [NetworkPart] {
    let width = channels[channels.count - 1]
    func part(_ kind: NetworkPart.Kind) -> NetworkPart {
      NetworkPart(kind, places: places, inputs: width, outputs: width)
    }
    return [part(.resnet(timeWidth: nil))] + (hasMiddleAttention ? [part(.attention)] : [])
      + [part(.resnet(timeWidth: nil))]
  }
}
