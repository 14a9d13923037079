/// The extents of a group normalisation over `[batch, positions, channels]`.
public struct GroupShape: Equatable, Sendable {
  public let batch: Int
  public let positions: Int
  public let channels: Int
  public let groups: Int

  public init(batch: Int, positions: Int, channels: Int, groups: Int) {
    self.batch = batch
    self.positions = positions
    self.channels = channels
    self.groups = groups
  }

  var label: String { "\(batch) x \(positions) x \(channels)" }
  var channelsPerGroup: Int { channels / groups }
  var elementsPerGroup: Double { Double(positions * channelsPerGroup) }
  /// Positions that one thread sums before it takes the next; fixed, so that sums do not depend on
  /// the number of threads.
  var positionsPerBlock: Int { max(16, 8_192 / channels) }
  var blocks: Int { (positions + positionsPerBlock - 1) / positionsPerBlock }
}

/// Group normalisation, with SiLU after it if asked.
///
///     y = (x - mean) / sqrt(variance + epsilon) * gamma + beta
///
/// - Input, output: `[batch, positions, channels]`; `statistics` receives the mean, then the
///   reciprocal standard deviation of each `[batch, groups]`.
/// - Source: Wu and He 2018, arXiv 1803.08494
public func normalizeGroups(
  _ input: UnsafePointer<Float>, gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, statistics: UnsafeMutablePointer<Float>,
  epsilon: Float, appliesSiLU: Bool, _ shape: GroupShape
) {
  profiled("group norm", shape.label) {
    let sums = sumChannels(input, input, shape) { x, _ in (x, x * x) }
    let channels = shape.channels
    let scratch = Storage(count: 2 * shape.batch * channels)
    let scales = scratch.pointer
    let shifts = scratch.pointer + shape.batch * channels
    for image in 0..<shape.batch {
      for group in 0..<shape.groups {
        let first = group * shape.channelsPerGroup
        var sum = 0.0
        var squares = 0.0
        for channel in first..<first + shape.channelsPerGroup {
          sum += sums[(image * channels + channel) * 2]
          squares += sums[(image * channels + channel) * 2 + 1]
        }
        let mean = sum / shape.elementsPerGroup
        let variance = max(0, squares / shape.elementsPerGroup - mean * mean)
        let reciprocal = 1 / (variance + Double(epsilon)).squareRoot()
        statistics[(image * shape.groups + group) * 2] = Float(mean)
        statistics[(image * shape.groups + group) * 2 + 1] = Float(reciprocal)
        for channel in first..<first + shape.channelsPerGroup {
          let scale = Double(gamma[channel]) * reciprocal
          scales[image * channels + channel] = Float(scale)
          shifts[image * channels + channel] = Float(Double(beta[channel]) - mean * scale)
        }
      }
    }
    parallelRanges(shape.batch * shape.positions, grain: elementGrain / 2 / channels) { range in
      for row in range {
        let image = row / shape.positions
        let x = input + row * channels
        let y = output + row * channels
        let scale = scales + image * channels
        let shift = shifts + image * channels
        if appliesSiLU {
          mapVectors(x, scale, shift, into: y, count: channels) { silu($2.addingProduct($0, $1)) }
        } else {
          mapVectors(x, scale, shift, into: y, count: channels) { $2.addingProduct($0, $1) }
        }
      }
    }
  }
}

/// The gradients of `normalizeGroups`.
///
/// With `g = dy gamma`, `h = (x - mean) r` and averages over a group:
///
///     dx = r (g - average(g) - h average(g h)),  dgamma = sum dy h,  dbeta = sum dy
///
/// - Parameter parameterGradients: `dgamma` and `dbeta`, `[channels]` each; nil if not wanted.
public func normalizeGroupsGradient(
  _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, statistics: UnsafePointer<Float>,
  into inputGradient: UnsafeMutablePointer<Float>,
  parameterGradients: (gamma: UnsafeMutablePointer<Float>, beta: UnsafeMutablePointer<Float>)?,
  appliesSiLU: Bool, _ shape: GroupShape
) {
  profiled("group norm gradient", shape.label) {
    let channels = shape.channels
    var gradient = outputGradient
    // SiLU first: its gradient goes where the result will go.
    if appliesSiLU {
      parallelRanges(shape.batch * shape.positions, grain: elementGrain / 4 / channels) { range in
        let row = Storage(count: 2 * channels)
        var image = -1
        for position in range {
          if position / shape.positions != image {
            image = position / shape.positions
            for channel in 0..<channels {
              let group = image * shape.groups + channel / shape.channelsPerGroup
              let scale = gamma[channel] * statistics[group * 2 + 1]
              row.pointer[channel] = scale
              row.pointer[channels + channel] = beta[channel] - statistics[group * 2] * scale
            }
          }
          let start = position * channels
          let y = inputGradient + start
          mapVectors(
            input + start, row.pointer, row.pointer + channels, into: y, count: channels
          ) { siluSlope($2.addingProduct($0, $1)) }
          mapVectors(y, outputGradient + start, into: y, count: channels) { $0 * $1 }
        }
      }
      gradient = UnsafePointer(inputGradient)
    }

    let sums = sumChannels(gradient, input, shape) { dy, x in (dy, dy * x) }
    if let (gammaGradient, betaGradient) = parameterGradients {
      for channel in 0..<channels {
        var gammaSum = 0.0
        var betaSum = 0.0
        for image in 0..<shape.batch {
          let group = image * shape.groups + channel / shape.channelsPerGroup
          let sum = sums[(image * channels + channel) * 2]
          let product = sums[(image * channels + channel) * 2 + 1]
          betaSum += sum
          gammaSum +=
            (product - Double(statistics[group * 2]) * sum) * Double(statistics[group * 2 + 1])
        }
        gammaGradient[channel] = Float(gammaSum)
        betaGradient[channel] = Float(betaSum)
      }
    }

    // dx = dy * a + x * b + c, with a per channel, b and c per group
    let scratch = Storage(count: 3 * shape.batch * channels)
    let a = scratch.pointer
    let b = a + shape.batch * channels
    let c = b + shape.batch * channels
    for image in 0..<shape.batch {
      for group in 0..<shape.groups {
        let mean = Double(statistics[(image * shape.groups + group) * 2])
        let reciprocal = Double(statistics[(image * shape.groups + group) * 2 + 1])
        let first = group * shape.channelsPerGroup
        var sum = 0.0
        var product = 0.0
        for channel in first..<first + shape.channelsPerGroup {
          let weight = Double(gamma[channel])
          sum += weight * sums[(image * channels + channel) * 2]
          product += weight * sums[(image * channels + channel) * 2 + 1]
        }
        let averageGradient = sum / shape.elementsPerGroup
        let averageProduct = (product - mean * sum) * reciprocal / shape.elementsPerGroup
        let slope = -reciprocal * reciprocal * averageProduct
        for channel in first..<first + shape.channelsPerGroup {
          a[image * channels + channel] = Float(reciprocal * Double(gamma[channel]))
          b[image * channels + channel] = Float(slope)
          c[image * channels + channel] = Float(-reciprocal * averageGradient - slope * mean)
        }
      }
    }
    parallelRanges(shape.batch * shape.positions, grain: elementGrain / channels) { range in
      for row in range {
        let image = row / shape.positions
        let start = row * channels
        let offset = image * channels
        let dx = inputGradient + start
        mapVectors(gradient + start, a + offset, c + offset, into: dx, count: channels) {
          $2.addingProduct($0, $1)
        }
        mapVectors(input + start, b + offset, UnsafePointer(dx), into: dx, count: channels) {
          $2.addingProduct($0, $1)
        }
      }
    }
  }
}

/// For every image and channel, the sums over all positions of the two `terms`, as
/// `[batch, channels, 2]`: floats within a block of positions, doubles between blocks.
@inline(__always)
private func sumChannels(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ shape: GroupShape,
  terms: (Vector, Vector) -> (Vector, Vector)
) -> [Double] {
  let channels = shape.channels
  let blocks = shape.blocks
  let partial = Storage(count: shape.batch * blocks * channels * 2)
  parallelRanges(shape.batch * blocks, grain: max(1, elementGrain / 8_192)) { range in
    for block in range {
      let image = block / blocks
      let start = block % blocks * shape.positionsPerBlock
      let end = min(shape.positions, start + shape.positionsPerBlock)
      let sums = partial.pointer + block * channels * 2
      var channel = 0
      while channel < channels {
        let width = min(8, channels - channel)
        var first = Vector.zero
        var second = Vector.zero
        for position in start..<end {
          let index = (image * shape.positions + position) * channels + channel
          let (one, two) =
            width == 8
            ? terms(loadVector(a + index), loadVector(b + index))
            : terms(loadPartialVector(a + index, width), loadPartialVector(b + index, width))
          first += one
          second += two
        }
        for lane in 0..<width {
          sums[(channel + lane) * 2] = first[lane]
          sums[(channel + lane) * 2 + 1] = second[lane]
        }
        channel += 8
      }
    }
  }
  var totals = [Double](repeating: 0, count: shape.batch * channels * 2)
  for block in 0..<shape.batch * blocks {
    let offset = block / blocks * channels * 2
    for index in 0..<channels * 2 {
      totals[offset + index] += Double(partial.pointer[block * channels * 2 + index])
    }
  }
  return totals
}
