extension AutoencoderConfiguration {
  /// The work of decoding latents of `height` x `width`.
  public func decodingWork(height: Int, width: Int, batch: Int = 1) -> ForwardWork {
    var work = ForwardWork()
    var places = height * width
    let widths = Array(channels.reversed())
    let latents = latentChannels
    if hasPostQuantConvolution {
      work.addConvolution(places: places, inputs: latents, outputs: latents, kernel: 1)
    }
    work.addConvolution(places: places, inputs: latents, outputs: widths[0])
    addMiddle(places, to: &work)
    for level in widths.indices {
      for layer in 0...layersPerBlock {
        let inputs = widths[layer == 0 ? max(0, level - 1) : level]
        work.addResnet(places: places, inputs: inputs, outputs: widths[level])
      }
      guard level < widths.count - 1 else { continue }
      places *= 4
      work.addConvolution(places: places, inputs: widths[level], outputs: widths[level])
    }
    work.addConvolution(places: places, inputs: channels[0], outputs: outputChannels)
    return work * batch
  }

  /// The work of encoding pictures of `height` x `width`, multiples of `reduction`.
  public func encodingWork(height: Int, width: Int, batch: Int = 1) -> ForwardWork {
    var work = ForwardWork()
    var places = height * width
    work.addConvolution(places: places, inputs: imageChannels, outputs: channels[0])
    for level in channels.indices {
      for layer in 0..<layersPerBlock {
        let inputs = channels[layer == 0 ? max(0, level - 1) : level]
        work.addResnet(places: places, inputs: inputs, outputs: channels[level])
      }
      guard level < channels.count - 1 else { continue }
      places /= 4
      work.addConvolution(places: places, inputs: channels[level], outputs: channels[level])
    }
    addMiddle(places, to: &work)
    let moments = 2 * latentChannels
    work.addConvolution(places: places, inputs: channels[channels.count - 1], outputs: moments)
    if hasQuantConvolution {
      work.addConvolution(places: places, inputs: moments, outputs: moments, kernel: 1)
    }
    return work * batch
  }

  private func addMiddle(_ places: Int, to work: inout ForwardWork) {
    let width = channels[channels.count - 1]
    for _ in 0..<2 { work.addResnet(places: places, inputs: width, outputs: width) }
    guard hasMiddleAttention else { return }
    work.addLinear(rows: places, inputs: width, outputs: 4 * width)
    work.addAttention(queries: places, keys: places, width: width)
  }
}
