public import HostResources

/// The extents of a group normalization over `[batch, positions, channels]`.
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

  var channelsPerGroup: Int { channels / groups }
  var elementsPerGroup: Double { Double(positions * channelsPerGroup) }
  /// Positions that one thread sums per block; fixed, so that sums do not depend on the number of
  /// threads.
  var positionsPerBlock: Int { max(16, 8_192 / channels) }
  var blocks: Int { (positions + positionsPerBlock - 1) / positionsPerBlock }

  // The blocks of memory, in floats.

  fileprivate var partialSums: Int { batch * blocks * channels * 2 }
  fileprivate var coefficients: Int { 2 * batch * channels }
  fileprivate var gradientCoefficients: Int { 3 * batch * channels }
  /// Of each thread that differentiates SiLU.
  fileprivate var scaleAndShift: Int { 2 * channels }

  /// The memory of the normalization.
  public var workingMemory: WorkingMemory { WorkingMemory([partialSums, coefficients]) }

  /// Returns the memory of its gradient.
  public func gradientWorkingMemory(appliesSiLU: Bool) -> WorkingMemory {
    let threads = appliesSiLU ? [WorkingMemory.ofThreads(batch * blocks, [scaleAndShift])] : []
    return WorkingMemory([partialSums, gradientCoefficients], then: threads)
  }
}

/// Group normalization, optionally followed by SiLU.
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
  let sums = ChannelSums(shape)
  let channels = shape.channels
  let scratch = HostMemory(count: shape.coefficients)
  let scales = scratch.pointer
  let shifts = scratch.pointer + shape.batch * channels
  shape.inTwoPasses { block in
    sums.sum(block, input, input)
  } between: { image in
    let totals = sums.total(image)
    for group in 0..<shape.groups {
      let first = group * shape.channelsPerGroup
      var sum = 0.0
      var squares = 0.0
      for channel in first..<first + shape.channelsPerGroup {
        sum += totals[channel * 2]
        squares += totals[channel * 2 + 1]
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
  } then: { image, positions in
    let start = (image * shape.positions + positions.lowerBound) * channels
    scaleRows(
      input + start, scales + image * channels, shifts + image * channels, into: output + start,
      rows: positions.count, width: channels, appliesSiLU: appliesSiLU)
  }
}

/// A function applied after normalization, for vectors of any length.
private protocol UnaryMap {
  static func result<Lanes: FloatVector>(_ x: Lanes) -> Lanes
}

private enum Unchanged: UnaryMap {
  @inline(__always)
  static func result<Lanes: FloatVector>(_ x: Lanes) -> Lanes { x }
}

private enum SiLU: UnaryMap {
  @inline(__always)
  static func result<Lanes: FloatVector>(_ x: Lanes) -> Lanes { silu(x) }
}

/// `output[row] = input[row] * scale + shift`, optionally followed by SiLU.
@inline(never)
private func scaleRows(
  _ input: UnsafePointer<Float>, _ scale: UnsafePointer<Float>, _ shift: UnsafePointer<Float>,
  into output: UnsafeMutablePointer<Float>, rows: Int, width: Int, appliesSiLU: Bool
) {
  if appliesSiLU {
    scaleRows(SiLU.self, input, scale, shift, into: output, rows: rows, width: width)
  } else {
    scaleRows(Unchanged.self, input, scale, shift, into: output, rows: rows, width: width)
  }
}

@inline(__always)
private func scaleRows<Map: UnaryMap>(
  _: Map.Type, _ input: UnsafePointer<Float>, _ scale: UnsafePointer<Float>,
  _ shift: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, rows: Int, width: Int
) {
  let isWide = TileForm.native == .wide
  // Two rows of eight numbers fill a vector of 16.
  let pairs = isWide && width == 8 ? rows / 2 * 2 : 0
  if pairs > 0 {
    let scales = SIMD16(lowHalf: loadVector(scale), highHalf: loadVector(scale))
    let shifts = SIMD16(lowHalf: loadVector(shift), highHalf: loadVector(shift))
    for index in stride(from: 0, to: pairs * 8, by: 16) {
      store(Map.result(shifts.addingProduct(load(input + index), scales)), to: output + index)
    }
  }
  let wide = isWide ? width / 16 * 16 : 0
  for row in pairs..<rows {
    let (x, target) = (input + row * width, output + row * width)
    for index in stride(from: 0, to: wide, by: 16) {
      let (scales, shifts): (SIMD16<Float>, SIMD16<Float>) = (
        load(scale + index), load(shift + index)
      )
      store(Map.result(shifts.addingProduct(load(x + index), scales)), to: target + index)
    }
    mapVectors(x + wide, scale + wide, shift + wide, into: target + wide, count: width - wide) {
      Map.result($2.addingProduct($0, $1))
    }
  }
}

/// The gradients of `normalizeGroups`.
///
/// With `g = dy gamma`, `h = (x - mean) r` and averages over a group:
///
///     dx = r (g - average(g) - h average(g h)),  dgamma = sum dy h,  dbeta = sum dy
///
/// - Parameter parameterGradients: `dgamma` and `dbeta`, `[channels]` each; nil if not needed.
public func normalizeGroupsGradient(
  _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, statistics: UnsafePointer<Float>,
  into inputGradient: UnsafeMutablePointer<Float>,
  parameterGradients: (gamma: UnsafeMutablePointer<Float>, beta: UnsafeMutablePointer<Float>)?,
  appliesSiLU: Bool, _ shape: GroupShape
) {
  let channels = shape.channels
  let sums = ChannelSums(shape)
  // After SiLU its gradient is stored in the result's place.
  let gradient = appliesSiLU ? UnsafePointer(inputGradient) : outputGradient
  // dx = dy * a + x * b + c, with a per channel, b and c per group
  let scratch = HostMemory(count: shape.gradientCoefficients)
  let a = scratch.pointer
  let b = a + shape.batch * channels
  let c = b + shape.batch * channels
  shape.inTwoPasses { block in
    if appliesSiLU {
      differentiateSiLU(
        block, input, outputGradient, gamma: gamma, beta: beta, statistics: statistics,
        into: inputGradient, shape)
    }
    sums.sum(block, gradient, input)
  } between: { image in
    let totals = sums.total(image)
    for group in 0..<shape.groups {
      let mean = Double(statistics[(image * shape.groups + group) * 2])
      let reciprocal = Double(statistics[(image * shape.groups + group) * 2 + 1])
      let first = group * shape.channelsPerGroup
      var sum = 0.0
      var product = 0.0
      for channel in first..<first + shape.channelsPerGroup {
        let weight = Double(gamma[channel])
        sum += weight * totals[channel * 2]
        product += weight * totals[channel * 2 + 1]
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
  } then: { image, positions in
    let offset = image * channels
    for position in positions {
      let start = (image * shape.positions + position) * channels
      let dx = inputGradient + start
      mapVectors(gradient + start, a + offset, c + offset, into: dx, count: channels) {
        $2.addingProduct($0, $1)
      }
      mapVectors(input + start, b + offset, UnsafePointer(dx), into: dx, count: channels) {
        $2.addingProduct($0, $1)
      }
    }
  }

  guard let (gammaGradient, betaGradient) = parameterGradients else { return }
  for channel in 0..<channels {
    var gammaSum = 0.0
    var betaSum = 0.0
    for image in 0..<shape.batch {
      let group = image * shape.groups + channel / shape.channelsPerGroup
      let sum = sums.totals[(image * channels + channel) * 2]
      let product = sums.totals[(image * channels + channel) * 2 + 1]
      betaSum += sum
      gammaSum +=
        (product - Double(statistics[group * 2]) * sum) * Double(statistics[group * 2 + 1])
    }
    gammaGradient[channel] = Float(gammaSum)
    betaGradient[channel] = Float(betaSum)
  }
}

/// Computes the gradient with respect to SiLU's input, for one block of positions.
private func differentiateSiLU(
  _ block: Int, _ input: UnsafePointer<Float>, _ outputGradient: UnsafePointer<Float>,
  gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, statistics: UnsafePointer<Float>,
  into target: UnsafeMutablePointer<Float>, _ shape: GroupShape
) {
  let channels = shape.channels
  let (image, positions) = shape.positions(ofBlock: block)
  let row = HostMemory(count: shape.scaleAndShift)
  for channel in 0..<channels {
    let group = image * shape.groups + channel / shape.channelsPerGroup
    let scale = gamma[channel] * statistics[group * 2 + 1]
    row.pointer[channel] = scale
    row.pointer[channels + channel] = beta[channel] - statistics[group * 2] * scale
  }
  for position in positions {
    let start = (image * shape.positions + position) * channels
    let y = target + start
    mapVectors(
      input + start, row.pointer, row.pointer + channels, into: y, count: channels
    ) { siluSlope($2.addingProduct($0, $1)) }
    mapVectors(y, outputGradient + start, into: y, count: channels) { $0 * $1 }
  }
}

extension GroupShape {
  /// Returns the image of a block of positions, and its range.
  fileprivate func positions(ofBlock block: Int) -> (image: Int, positions: Range<Int>) {
    let (image, index) = block.quotientAndRemainder(dividingBy: blocks)
    let start = index * positionsPerBlock
    return (image, start..<min(positions, start + positionsPerBlock))
  }

  /// Runs `first` for every block of positions, then `middle` and `last` for every image.
  ///
  /// With at least as many images as threads, each image is processed on one thread and stays in
  /// its cache; otherwise its positions are divided.
  @inline(__always)
  fileprivate func inTwoPasses(
    _ first: (Int) -> Void, between middle: (Int) -> Void,
    then last: (_ image: Int, _ positions: Range<Int>) -> Void
  ) {
    guard batch < Threads.count else {
      parallelRanges(batch, grain: max(1, elementGrain / (positions * channels))) { images in
        for image in images {
          for block in image * blocks..<(image + 1) * blocks { first(block) }
          middle(image)
          last(image, 0..<positions)
        }
      }
      return
    }
    parallelRanges(batch * blocks, grain: 1) { for block in $0 { first(block) } }
    for image in 0..<batch { middle(image) }
    parallelRanges(batch * blocks, grain: 1) { range in
      for block in range {
        let (image, positions) = positions(ofBlock: block)
        last(image, positions)
      }
    }
  }
}

/// For every image and channel, the sums over all positions of two terms, as `[batch, channels, 2]`:
/// floats within a block of positions, doubles between blocks.
private final class ChannelSums {
  let totals: UnsafeMutablePointer<Double>
  private let shape: GroupShape
  /// The same for every block.
  private let partial: HostMemory

  init(_ shape: GroupShape) {
    self.shape = shape
    partial = HostMemory(count: shape.partialSums)
    totals = .allocate(capacity: shape.batch * shape.channels * 2)
  }

  deinit { totals.deallocate() }

  /// Sums `a` and `a b`.
  func sum(_ block: Int, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>) {
    let channels = shape.channels
    let (image, positions) = shape.positions(ofBlock: block)
    let start = (image * shape.positions + positions.lowerBound) * channels
    let sums = partial.pointer + block * channels * 2
    let wide = TileForm.native == .wide ? channels / 16 * 16 : 0
    for channel in stride(from: 0, to: wide, by: 16) {
      sum(
        SIMD16.self, a + start + channel, b + start + channel, positions.count,
        into: sums + channel * 2)
    }
    let whole = channels / 8 * 8
    for channel in stride(from: wide, to: whole, by: 8) {
      sum(
        SIMD8.self, a + start + channel, b + start + channel, positions.count,
        into: sums + channel * 2)
    }
    guard whole < channels else { return }
    let rest = channels - whole
    var (first, second) = (Vector.zero, Vector.zero)
    for index in stride(from: start + whole, to: start + positions.count * channels, by: channels) {
      let value = loadPartialVector(a + index, rest)
      first += value
      second += value * loadPartialVector(b + index, rest)
    }
    for lane in 0..<rest {
      sums[(whole + lane) * 2] = first[lane]
      sums[(whole + lane) * 2 + 1] = second[lane]
    }
  }

  @inline(__always)
  private func sum<Lanes: FloatVector>(
    _: Lanes.Type, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int,
    into sums: UnsafeMutablePointer<Float>
  ) {
    var (first, second) = (Lanes.zero, Lanes.zero)
    var index = 0
    for _ in 0..<count {
      let value: Lanes = load(a + index)
      first = first + value
      second = second + value * load(b + index)
      index += shape.channels
    }
    for lane in 0..<Lanes.scalarCount {
      sums[lane * 2] = first[lane]
      sums[lane * 2 + 1] = second[lane]
    }
  }

  /// Sums the blocks of an image, and returns its part of the totals.
  func total(_ image: Int) -> UnsafePointer<Double> {
    let count = shape.channels * 2
    let result = totals + image * count
    result.update(repeating: 0, count: count)
    for block in image * shape.blocks..<(image + 1) * shape.blocks {
      for index in 0..<count { result[index] += Double(partial.pointer[block * count + index]) }
    }
    return UnsafePointer(result)
  }
}
