/// Upsamples a component's rows to the image's width and height, like libjpeg's "fancy" upsampling.
///
/// A doubled direction is interpolated linearly (3/4 of the nearer sample, 1/4 of the farther) with
/// libjpeg's alternating rounding; other ratios repeat samples.
struct Upsampler {
  private let plane: Plane<UInt8>
  /// Samples that belong to the image.
  private let width: Int
  private let height: Int
  private let horizontalRatio: Int
  private let verticalRatio: Int
  private let interpolatesColumns: Bool
  private let interpolatesRows: Bool
  /// One upsampled row, and one row of vertical sums.
  private let output: Plane<UInt8>
  private let sums: Plane<UInt16>

  init(_ component: JPEGComponent, of frame: JPEGFrame, plane: Plane<UInt8>) {
    self.plane = plane
    width = component.width
    height = component.height
    horizontalRatio = frame.horizontalFactor / component.horizontalFactor
    verticalRatio = frame.verticalFactor / component.verticalFactor
    // libjpeg's conditions: h2v1 and h2v2 need more than two samples, h1v2 does not.
    interpolatesColumns =
      horizontalRatio == 2 && (verticalRatio == 1 || verticalRatio == 2) && component.width > 2
    interpolatesRows = verticalRatio == 2 && (horizontalRatio == 1 || interpolatesColumns)
    output = Plane(width: component.width * horizontalRatio, height: 1)
    sums = Plane(width: component.width, height: 1)
  }

  /// Row `y` of the image; valid until the next call.
  func row(_ y: Int) -> UnsafePointer<UInt8> {
    let index = y / verticalRatio
    let near = UnsafePointer(plane.values + index * plane.width)
    guard horizontalRatio > 1 || interpolatesRows else { return near }
    if interpolatesRows {
      let isUpper = y % 2 == 0
      let neighbour = isUpper ? max(index - 1, 0) : min(index + 1, height - 1)
      let far = UnsafePointer(plane.values + neighbour * plane.width)
      if interpolatesColumns {
        interpolateBoth(near, far)
      } else {
        interpolateRows(near, far, rounding: isUpper ? 1 : 2)
      }
    } else if interpolatesColumns {
      interpolateColumns(near)
    } else {
      repeatSamples(near)
    }
    return UnsafePointer(output.values)
  }

  private func interpolateRows(
    _ near: UnsafePointer<UInt8>, _ far: UnsafePointer<UInt8>, rounding: UInt16
  ) {
    let output = self.output.values
    for x in 0..<width {
      output[x] = UInt8(
        truncatingIfNeeded: (3 &* UInt16(near[x]) &+ UInt16(far[x]) &+ rounding) &>> 2)
    }
  }

  private func interpolateColumns(_ input: UnsafePointer<UInt8>) {
    let output = self.output.values
    let last = width - 1
    output[0] = input[0]
    output[1] = UInt8(truncatingIfNeeded: (3 &* UInt16(input[0]) &+ UInt16(input[1]) &+ 2) &>> 2)
    for x in 1..<last {
      let near = 3 &* UInt16(input[x])
      output[2 &* x] = UInt8(truncatingIfNeeded: (near &+ UInt16(input[x &- 1]) &+ 1) &>> 2)
      output[2 &* x &+ 1] = UInt8(truncatingIfNeeded: (near &+ UInt16(input[x &+ 1]) &+ 2) &>> 2)
    }
    output[2 * last] = UInt8(
      truncatingIfNeeded: (3 &* UInt16(input[last]) &+ UInt16(input[last - 1]) &+ 1) &>> 2)
    output[2 * last + 1] = input[last]
  }

  private func interpolateBoth(_ near: UnsafePointer<UInt8>, _ far: UnsafePointer<UInt8>) {
    let output = self.output.values
    let sums = self.sums.values
    for x in 0..<width { sums[x] = 3 &* UInt16(near[x]) &+ UInt16(far[x]) }
    let last = width - 1
    output[0] = UInt8(truncatingIfNeeded: (4 &* sums[0] &+ 8) &>> 4)
    output[1] = UInt8(truncatingIfNeeded: (3 &* sums[0] &+ sums[1] &+ 7) &>> 4)
    for x in 1..<last {
      let sum = 3 &* sums[x]
      output[2 &* x] = UInt8(truncatingIfNeeded: (sum &+ sums[x &- 1] &+ 8) &>> 4)
      output[2 &* x &+ 1] = UInt8(truncatingIfNeeded: (sum &+ sums[x &+ 1] &+ 7) &>> 4)
    }
    output[2 * last] = UInt8(truncatingIfNeeded: (3 &* sums[last] &+ sums[last - 1] &+ 8) &>> 4)
    output[2 * last + 1] = UInt8(truncatingIfNeeded: (4 &* sums[last] &+ 7) &>> 4)
  }

  private func repeatSamples(_ input: UnsafePointer<UInt8>) {
    let output = self.output.values
    for x in 0..<width {
      for copy in 0..<horizontalRatio { output[x &* horizontalRatio &+ copy] = input[x] }
    }
  }
}
