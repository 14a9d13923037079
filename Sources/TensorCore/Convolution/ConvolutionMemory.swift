public import HostResources

/// The memory that a convolution takes from the pool.
public struct ConvolutionMemory {
  /// Layouts of the weights cached until these change, by name, with their sizes.
  public let kept: [String: Int]
  public let working: WorkingMemory
}

extension ConvolutionShape {
  /// Returns the memory of ``convolve(_:_:bias:into:_:)`` or
  /// ``convolveUpsampled(_:_:bias:into:_:)``.
  ///
  /// - Parameter isHalf: whether the weights are in half precision
  public func memory(upsamples: Bool, isHalf: Bool) -> ConvolutionMemory {
    let tiles = upsamples ? WinogradTiles(upsampled: self) : WinogradTiles(self)
    let suits = upsamples ? WinogradTiles.suitUpsampled(self) : WinogradTiles.suit(self)
    if suits, tiles.areFaster {
      return tiles.memory(named: upsamples ? "upsampling" : "forward")
    }
    if upsamples {
      let plain = memory(upsamples: false, isHalf: isHalf)
      return ConvolutionMemory(
        kept: plain.kept, working: WorkingMemory([inputCount], then: [plain.working]))
    }
    let padded =
      isPadded
      ? batch * (height + paddingTop + paddingBottom) * (width + paddingLeft + paddingRight)
        * inputChannels : 0
    return directMemory(
      padded,
      ["panels": kernelHeight * kernelWidth * inputChannels * outputChannels.inWholeVectors],
      isHalf: isHalf)
  }

  /// Returns the memory of ``convolveInputGradient(_:_:into:_:)``.
  public func inputGradientMemory(isHalf: Bool) -> ConvolutionMemory {
    let tiles = WinogradTiles(inputGradientOf: self)
    if WinogradTiles.suit(self), tiles.areFaster { return tiles.memory(named: "gradient") }
    let border = inputGradientBorder
    let padded =
      border.isEmpty
      ? 0
      : batch * (outputHeight + border.top + border.bottom)
        * (outputWidth + border.left + border.right) * outputChannels
    var panels: [String: Int] = [:]
    for y in 0..<min(stride, height) {
      for x in 0..<min(stride, width) {
        let phase = ConvolutionPhase(
          stride: stride, y: (y + paddingTop) % stride, x: (x + paddingLeft) % stride)
        let taps = phase.taps(kernelHeight, kernelWidth)
        panels["phase \(phase.y) \(phase.x)"] =
          taps.height * taps.width * outputChannels * inputChannels.inWholeVectors
      }
    }
    return directMemory(padded, panels, isHalf: isHalf)
  }

  /// The memory of ``convolveWeightGradient(_:_:into:_:form:)``.
  public var weightGradientMemory: WorkingMemory {
    guard !WinogradWeightGradient.isFaster(self) else {
      return WinogradWeightGradient.workingMemory(self)
    }
    let padded =
      batch * (height + paddingTop + paddingBottom) * (width + paddingLeft + paddingRight)
      * inputChannels
    let channels = outputChannels.inWholeVectors
    return WorkingMemory(
      (isPadded ? [padded] : [])
        + (channels > outputChannels
          ? [
            outputCount / outputChannels * channels,
            kernelHeight * kernelWidth * inputChannels * channels,
          ] : []))
  }

  private var isPadded: Bool {
    max(paddingTop, paddingLeft, paddingBottom, paddingRight) > 0
  }

  private func directMemory(
    _ padded: Int, _ panels: [String: Int], isHalf: Bool
  ) -> ConvolutionMemory {
    ConvolutionMemory(
      kept: isHalf ? [:] : panels,
      working: WorkingMemory(
        padded > 0 ? [padded] : [],
        then: isHalf ? panels.values.map { WorkingMemory([$0]) } : []))
  }
}

extension WinogradTiles {
  fileprivate func memory(named name: String) -> ConvolutionMemory {
    let keeps = WinogradPanels.isSmall(rows: inputChannels, paddedColumns: paddedChannels)
    return ConvolutionMemory(
      kept: keeps ? [name: form.planes * inputChannels * paddedChannels] : [:],
      working: workingMemory(keepsKernel: keeps))
  }
}

extension Int {
  /// The number rounded up to whole vectors.
  fileprivate var inWholeVectors: Int { (self + 7) / 8 * 8 }
}
