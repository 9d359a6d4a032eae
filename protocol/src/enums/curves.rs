//! The curves that Cryptographic Domain Parameters may name.
//!
//! Tables of KMIP 2.1 section 11, with the values that 1.0 to 1.4 had besides them.

use super::enumeration;

enumeration! {
    /// Recommended Curve (KMIP 2.1 section 11.45).
    RecommendedCurve, "Recommended Curve" {
        P192 = 0x01, "P-192";
        K163 = 0x02, "K-163";
        B163 = 0x03, "B-163";
        P224 = 0x04, "P-224";
        K233 = 0x05, "K-233";
        B233 = 0x06, "B-233";
        P256 = 0x07, "P-256";
        K283 = 0x08, "K-283";
        B283 = 0x09, "B-283";
        P384 = 0x0A, "P-384";
        K409 = 0x0B, "K-409";
        B409 = 0x0C, "B-409";
        P521 = 0x0D, "P-521";
        K571 = 0x0E, "K-571";
        B571 = 0x0F, "B-571";
        Secp112R1 = 0x10, "SECP112R1";
        Secp112R2 = 0x11, "SECP112R2";
        Secp128R1 = 0x12, "SECP128R1";
        Secp128R2 = 0x13, "SECP128R2";
        Secp160K1 = 0x14, "SECP160K1";
        Secp160R1 = 0x15, "SECP160R1";
        Secp160R2 = 0x16, "SECP160R2";
        Secp192K1 = 0x17, "SECP192K1";
        Secp224K1 = 0x18, "SECP224K1";
        Secp256K1 = 0x19, "SECP256K1";
        Sect113R1 = 0x1A, "SECT113R1";
        Sect113R2 = 0x1B, "SECT113R2";
        Sect131R1 = 0x1C, "SECT131R1";
        Sect131R2 = 0x1D, "SECT131R2";
        Sect163R1 = 0x1E, "SECT163R1";
        Sect193R1 = 0x1F, "SECT193R1";
        Sect193R2 = 0x20, "SECT193R2";
        Sect239K1 = 0x21, "SECT239K1";
        Ansix9P192V2 = 0x22, "ANSIX9P192V2";
        Ansix9P192V3 = 0x23, "ANSIX9P192V3";
        Ansix9P239V1 = 0x24, "ANSIX9P239V1";
        Ansix9P239V2 = 0x25, "ANSIX9P239V2";
        Ansix9P239V3 = 0x26, "ANSIX9P239V3";
        Ansix9C2Pnb163V1 = 0x27, "ANSIX9C2PNB163V1";
        Ansix9C2Pnb163V2 = 0x28, "ANSIX9C2PNB163V2";
        Ansix9C2Pnb163V3 = 0x29, "ANSIX9C2PNB163V3";
        Ansix9C2Pnb176V1 = 0x2A, "ANSIX9C2PNB176V1";
        Ansix9C2Tnb191V1 = 0x2B, "ANSIX9C2TNB191V1";
        Ansix9C2Tnb191V2 = 0x2C, "ANSIX9C2TNB191V2";
        Ansix9C2Tnb191V3 = 0x2D, "ANSIX9C2TNB191V3";
        Ansix9C2Pnb208W1 = 0x2E, "ANSIX9C2PNB208W1";
        Ansix9C2Tnb239V1 = 0x2F, "ANSIX9C2TNB239V1";
        Ansix9C2Tnb239V2 = 0x30, "ANSIX9C2TNB239V2";
        Ansix9C2Tnb239V3 = 0x31, "ANSIX9C2TNB239V3";
        Ansix9C2Pnb272W1 = 0x32, "ANSIX9C2PNB272W1";
        Ansix9C2Pnb304W1 = 0x33, "ANSIX9C2PNB304W1";
        Ansix9C2Tnb359V1 = 0x34, "ANSIX9C2TNB359V1";
        Ansix9C2Pnb368W1 = 0x35, "ANSIX9C2PNB368W1";
        Ansix9C2Tnb431R1 = 0x36, "ANSIX9C2TNB431R1";
        Brainpoolp160R1 = 0x37, "BRAINPOOLP160R1";
        Brainpoolp160T1 = 0x38, "BRAINPOOLP160T1";
        Brainpoolp192R1 = 0x39, "BRAINPOOLP192R1";
        Brainpoolp192T1 = 0x3A, "BRAINPOOLP192T1";
        Brainpoolp224R1 = 0x3B, "BRAINPOOLP224R1";
        Brainpoolp224T1 = 0x3C, "BRAINPOOLP224T1";
        Brainpoolp256R1 = 0x3D, "BRAINPOOLP256R1";
        Brainpoolp256T1 = 0x3E, "BRAINPOOLP256T1";
        Brainpoolp320R1 = 0x3F, "BRAINPOOLP320R1";
        Brainpoolp320T1 = 0x40, "BRAINPOOLP320T1";
        Brainpoolp384R1 = 0x41, "BRAINPOOLP384R1";
        Brainpoolp384T1 = 0x42, "BRAINPOOLP384T1";
        Brainpoolp512R1 = 0x43, "BRAINPOOLP512R1";
        Brainpoolp512T1 = 0x44, "BRAINPOOLP512T1";
        Curve25519 = 0x45, "CURVE25519";
        Curve448 = 0x46, "CURVE448";
    }
}
