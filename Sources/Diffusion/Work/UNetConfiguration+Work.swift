extension UNetConfiguration {
  /// The work of one forward pass over latents of `height` x `width`.
  ///
  /// - Parameter tokens: hidden states of each prompt
  public func forwardWork(height: Int, width: Int, tokens: Int, batch: Int = 1) -> ForwardWork {
    var work = ForwardWork()
    let timeWidth = 4 * channels[0]
    func addTimeEmbedding(inputs: Int) {
      work.addLinear(rows: 1, inputs: inputs, outputs: timeWidth)
      work.addLinear(rows: 1, inputs: timeWidth, outputs: timeWidth)
    }
    func addResnet(_ places: Int, inputs: Int, outputs: Int) {
      work.addResnet(places: places, inputs: inputs, outputs: outputs)
      work.addLinear(rows: 1, inputs: timeWidth, outputs: outputs)
    }
    func addTransformer(_ places: Int, level: Int) {
      work.addTransformer(
        places: places, width: channels[level], layers: transformerLayers[level], tokens: tokens,
        contextWidth: contextWidth)
    }
    addTimeEmbedding(inputs: channels[0])
    if let textTime { addTimeEmbedding(inputs: textTime.inputWidth) }

    // down
    var sizes = [(height, width)]
    let last = channels.count - 1
    for _ in 0..<last {
      let (height, width) = sizes[sizes.count - 1]
      let rounding = downsamplePadding == 0 ? 0 : 1
      sizes.append(((height + rounding) / 2, (width + rounding) / 2))
    }
    let places = sizes.map { $0.0 * $0.1 }
    work.addConvolution(places: places[0], inputs: inputChannels, outputs: channels[0])
    var skips = [channels[0]]
    for level in channels.indices {
      for layer in 0..<layersPerBlock[level] {
        let inputs = channels[layer == 0 ? max(0, level - 1) : level]
        addResnet(places[level], inputs: inputs, outputs: channels[level])
        if downBlocks[level] == .crossAttention { addTransformer(places[level], level: level) }
        skips.append(channels[level])
      }
      guard level < last else { continue }
      work.addConvolution(
        places: places[level + 1], inputs: channels[level], outputs: channels[level])
      skips.append(channels[level])
    }

    // middle
    if hasMiddleBlock {
      addResnet(places[last], inputs: channels[last], outputs: channels[last])
      addTransformer(places[last], level: last)
      addResnet(places[last], inputs: channels[last], outputs: channels[last])
    }

    // up
    var inputs = channels[last]
    for level in channels.indices.reversed() {
      for _ in 0...layersPerBlock[level] {
        addResnet(
          places[level], inputs: inputs + skips.removeLast(), outputs: channels[level])
        if upBlocks[last - level] == .crossAttention { addTransformer(places[level], level: level) }
        inputs = channels[level]
      }
      guard level > 0 else { continue }
      work.addConvolution(places: places[level - 1], inputs: inputs, outputs: inputs)
    }
    work.addConvolution(places: places[0], inputs: channels[0], outputs: outputChannels)
    return work * batch
  }
}

extension ForwardWork {
  /// Attention among `places` and to `tokens`, and the linear layers around it.
  fileprivate mutating func addTransformer(
    places: Int, width: Int, layers: Int, tokens: Int, contextWidth: Int
  ) {
    // Into and out of the blocks: convolutions in the first models, linear in later ones.
    addConvolution(places: places, inputs: width, outputs: 2 * width, kernel: 1)
    for _ in 0..<layers {
      addLinear(rows: places, inputs: width, outputs: 4 * width)
      addAttention(queries: places, keys: places, width: width)
      addLinear(rows: places, inputs: width, outputs: 2 * width)
      addLinear(rows: tokens, inputs: contextWidth, outputs: 2 * width)
      addAttention(queries: places, keys: tokens, width: width)
      addLinear(rows: places, inputs: width, outputs: 12 * width)  // 8 out, 4 back
    }
  }
}
