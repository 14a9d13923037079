import Files
import Imaging
import TestSupport

/// A file of `Tests/Fixtures/imaging`, described by `generate.py` there.
func fixture(_ name: String) throws -> [UInt8] {
  try RegularFile(path: fixturePath("imaging/\(name)")).readAll()
}

/// The pixels that Pillow reads from the image file `name`.
func pillowPixels(of name: String) throws -> [UInt8] {
  try fixture(name.replacing(".", with: "-") + ".rgb")
}

/// Largest difference of two images' samples; 256 where their counts differ.
func largestDifference(_ first: [UInt8], _ second: [UInt8]) -> Int {
  guard first.count == second.count else { return 256 }
  return zip(first, second).reduce(0) { max($0, abs(Int($1.0) - Int($1.1))) }
}

/// The image that `generate.py` resizes and encodes.
func sourceImage() throws -> RGBImage {
  RGBImage(width: 61, height: 43, pixels: try fixture("source.rgb"))
}

/// A small generator of repeatable numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
