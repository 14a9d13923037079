/// The colour of a hue in degrees, a saturation and a value in 0...1 (HSV).
///
/// channel(n) = v - v s clip(min(k, 4 - k), 0, 1), k = (n + hue / 60) mod 6; red, green and blue have
/// n = 5, 3 and 1.
func rgb(hue: Float, saturation: Float, value: Float) -> SIMD3<Float> {
  func channel(_ n: Float) -> Float {
    let turned = (n + hue / 60).truncatingRemainder(dividingBy: 6)
    let k = turned < 0 ? turned + 6 : turned
    return value - value * saturation * unit(min(k, 4 - k))
  }
  return [channel(5), channel(3), channel(1)]
}

/// The largest channel less the smallest.
func chroma(_ pixel: SIMD3<Float>) -> Float { pixel.max() - pixel.min() }

/// The hue in degrees, 0..<360 (HSV); 0 for a grey.
func hue(_ pixel: SIMD3<Float>) -> Float {
  let chroma = chroma(pixel)
  guard chroma > 0 else { return 0 }
  let sixth: Float
  if pixel.x == pixel.max() {
    sixth = (pixel.y - pixel.z) / chroma
  } else if pixel.y == pixel.max() {
    sixth = (pixel.z - pixel.x) / chroma + 2
  } else {
    sixth = (pixel.x - pixel.y) / chroma + 4
  }
  return sixth < 0 ? sixth * 60 + 360 : sixth * 60
}

/// The distance of two hues on the circle, 0...180 degrees.
func hueDistance(_ first: Float, _ second: Float) -> Float {
  let difference = abs(first - second).truncatingRemainder(dividingBy: 360)
  return min(difference, 360 - difference)
}

/// `value` brought into 0...1.
func unit(_ value: Float) -> Float { min(max(value, 0), 1) }
